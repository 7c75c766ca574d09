"""Square says whether it still sends webhooks: against the simulator, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

from app.sources.base import Subscriptions
from app.sources.square.webhook import SquareReceiver
from tests.sources.square.square_account import Account, account  # noqa: F401


def test_a_source_can_tell_its_subscriptions(account: Account) -> None:  # noqa: F811
    assert isinstance(account.source, Subscriptions)
    assert [one.enabled for one in account.source.subscriptions()] == [True]


def test_the_first_try_of_a_delivery_is_read_from_its_headers() -> None:
    receiver = SquareReceiver("https://here", ("key",))
    headers = {"square-initial-delivery-timestamp": "2026-11-22T12:00:00Z"}
    assert receiver.first_sent(headers) == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert receiver.first_sent({}) is None
