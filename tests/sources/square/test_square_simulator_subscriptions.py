"""The simulated webhook subscriptions, through Square's own SDK: made, listed, changed, refused as Square refuses."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from square import Square
from square.core.api_error import ApiError

from app.sources.square.webhook import SquareReceiver
from tests.sources.simulated import Servers
from tests.sources.square.square_account import TOKEN, Account, Simulate
from tests.sources.square.square_hook import Hook, acked

URL = "https://shop.example/webhooks/square"
WANTED = {"name": "ours", "notification_url": URL, "event_types": ["inventory.count.updated"]}


@pytest.fixture
def account(simulate: Simulate) -> Account:
    return simulate(products=6)


@pytest.fixture
def sdk(account: Account) -> Iterator[Square]:
    with httpx.Client(timeout=60) as http:
        yield Square(token=TOKEN, base_url=account.url, httpx_client=http)


def made(sdk: Square, **more: Any) -> Any:
    return sdk.webhooks.subscriptions.create(subscription={**WANTED, **more}, idempotency_key="k").subscription


def test_what_is_made_has_a_key_and_an_id(sdk: Square) -> None:
    one = made(sdk, api_version="2026-09-16")
    assert (one.notification_url, one.api_version, one.enabled) == (URL, "2026-09-16", True)
    assert (one.id[:5], len(one.signature_key)) == ("wbhk_", 22)


def test_a_list_shows_no_key_but_one_alone_does(sdk: Square) -> None:
    one = made(sdk)
    assert [(each.id, each.signature_key) for each in sdk.webhooks.subscriptions.list()] == [(one.id, None)]
    assert sdk.webhooks.subscriptions.get(one.id).subscription.signature_key == one.signature_key


def test_the_same_idempotency_key_makes_it_once(sdk: Square) -> None:
    assert made(sdk).id == made(sdk).id
    assert len(list(sdk.webhooks.subscriptions.list())) == 1


def test_an_idempotency_key_with_another_body_is_refused(sdk: Square) -> None:
    made(sdk)
    with pytest.raises(ApiError, match="IDEMPOTENCY_KEY_REUSED"):
        made(sdk, name="another")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"notification_url": "http://shop.example/webhooks/square"}, "notification_url"),
        ({"notification_url": "shop.example"}, "notification_url"),
        ({"notification_url": None}, "notification_url"),
        ({"event_types": []}, "event_types"),
        ({"event_types": ["inventory.counted"]}, "event_types"),
        ({"api_version": "tomorrow"}, "api_version"),
        ({"api_version": "2999-01-01"}, "api_version"),
        ({"name": "x" * 65}, "name"),
        ({"url": URL}, "subscription"),
    ],
)
def test_what_square_refuses_is_refused(sdk: Square, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(ApiError) as refused:
        made(sdk, **wrong)
    assert (refused.value.status_code, field in str(refused.value.body)) == (400, True)
    assert list(sdk.webhooks.subscriptions.list(include_disabled=True)) == []


def test_an_oauth_token_may_not_even_look(account: Account, sdk: Square) -> None:
    account.faults(oauth_token=True)
    with pytest.raises(ApiError) as refused:
        list(sdk.webhooks.subscriptions.list())
    assert refused.value.status_code == 403


def test_a_disabled_one_is_listed_only_where_it_is_asked_for(sdk: Square) -> None:
    one = made(sdk)
    sdk.webhooks.subscriptions.update(one.id, subscription={"enabled": False})
    assert [len(list(sdk.webhooks.subscriptions.list(include_disabled=asked))) for asked in (False, True)] == [0, 1]


def test_a_deleted_one_is_not_found(sdk: Square) -> None:
    one = made(sdk)
    sdk.webhooks.subscriptions.delete(one.id)
    with pytest.raises(ApiError) as refused:
        sdk.webhooks.subscriptions.get(one.id)
    assert refused.value.status_code == 404


def test_a_list_comes_page_by_page(sdk: Square) -> None:
    for number in range(3):
        sdk.webhooks.subscriptions.create(subscription={**WANTED, "name": str(number)})
    pages = sdk.webhooks.subscriptions.list(limit=2)
    assert [one.name for one in pages] == ["0", "1", "2"]


def test_what_was_made_is_sent_its_types_signed_with_its_key(simulate: Simulate, servers: Servers) -> None:
    account, hook = simulate(plain_http=True), Hook(servers)
    with httpx.Client(timeout=60) as http:
        one = made(Square(token=TOKEN, base_url=account.url, httpx_client=http), notification_url=hook.url)
    account.change(1, "pos_sale")  # payments as well, which it did not ask for
    account.wait_for(acked(1))
    receiver = SquareReceiver(hook.url, [one.signature_key])
    assert [receiver.parse(*delivery).type for delivery in hook.came] == ["inventory.count.updated"]
    headers, body = hook.came[0]
    receiver.verify(headers, body, datetime.now(UTC))


def test_what_was_made_outlives_a_restart(simulate: Simulate, tmp_path: Path) -> None:
    file = tmp_path / "shop.state"
    before = simulate(products=6, state_file=str(file))
    with httpx.Client(timeout=60) as http:
        one = made(Square(token=TOKEN, base_url=before.url, httpx_client=http))
    before.wait_for(lambda _: one.id.encode() in file.read_bytes())
    after = simulate(products=6, state_file=str(file))
    assert list(after.world.outbox.subscriptions) == [one.id]
