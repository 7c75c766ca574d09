"""Square says whether it still sends webhooks: against the simulator, over real HTTP."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.sources import square
from app.sources.base import Subscriptions
from app.sources.square.setup import EVENTS
from app.sources.square.webhook import SquareReceiver
from tests.sources.square.square_account import Simulate

SAMPLES = Path(square.__file__).parent / "samples" / "webhooks_official"
OURS = "https://shop.example/webhooks/square"


@pytest.mark.parametrize("enabled", [True, False])
def test_a_source_shows_whether_its_subscription_is_enabled(simulate: Simulate, enabled: bool) -> None:
    account = simulate(webhook_url=OURS)
    account.world.outbox.own.enabled = enabled
    assert isinstance(account.source, Subscriptions)
    assert [(subscription.url, subscription.enabled) for subscription in account.source.subscriptions()] == [
        (OURS, enabled)
    ]


def test_a_subscription_of_another_url_is_not_ours(simulate: Simulate) -> None:
    account = simulate(webhook_url="https://elsewhere.example/webhooks/square")
    assert account.source.subscriptions() == []


def test_the_first_try_of_a_delivery_is_read_from_its_headers() -> None:
    receiver = SquareReceiver("https://here", ("key",))
    headers = {"square-initial-delivery-timestamp": "2026-11-22T12:00:00Z"}
    assert receiver.first_sent(headers) == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert receiver.first_sent({}) is None


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_that_is_subscribed_to_says_something(event: str) -> None:
    receiver = SquareReceiver("https://here", ("key",))
    sample = json.loads((SAMPLES / f"{event}.json").read_text())
    delivery = receiver.parse({}, json.dumps(sample).encode())
    assert delivery.changes or delivery.alarm


def test_a_subscription_shows_which_of_our_events_it_does_not_send(simulate: Simulate) -> None:
    account = simulate(webhook_url=OURS)
    account.world.outbox.own.event_types = ["order.created"]
    (one,) = account.source.registrations()
    assert one.lacking == tuple(event for event in EVENTS if event != "order.created")


def test_all_subscriptions_are_told_wherever_they_lead(simulate: Simulate) -> None:
    account = simulate(webhook_url="https://elsewhere.example/webhooks/square")
    assert [registration.url for registration in account.source.registrations()] == [
        "https://elsewhere.example/webhooks/square"
    ]
