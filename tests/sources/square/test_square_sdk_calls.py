"""Square's SDK asks the simulator more than sixty different things: every answer is valid, and means what was asked."""

from collections.abc import Iterator

import pytest

from tests.sources.simulated import Servers
from tests.sources.square.square_account import Account, open_account
from tests.sources.square.square_sdk import Judge, ids
from tests.sources.square.square_sdk_catalog import CATALOG
from tests.sources.square.square_sdk_reads import Call
from tests.sources.square.square_sdk_rest import ORDERS, PLACES
from tests.sources.square.square_sdk_stock import INVENTORY

READS = [*CATALOG, *INVENTORY, *ORDERS, *PLACES]
ENOUGH = 60


@pytest.fixture(scope="module")
def shop() -> Iterator[Account]:
    """A shop with a past: sales, returns, receipts, transfers, stock takes."""
    running = Servers()
    hook = {"webhook_url": "http://127.0.0.1:9/nobody"}
    shop = open_account(running, 5.0, {"products": 40, "orders": 40, "seed": 3, "events_enabled": True, **hook})
    shop.change(40, "stock", "order")
    yield shop
    shop.source.close()
    shop.control.close()
    running.wait()


@pytest.fixture
def judge(shop: Account) -> Iterator[Judge]:
    judge = Judge(shop.url)
    yield judge
    judge.close()


@pytest.mark.parametrize("call", READS, ids=lambda call: call.name)
def test_the_sdk_is_answered_what_it_asked(shop: Account, judge: Judge, call: Call) -> None:
    answer = call.ask(judge.sdk, shop)
    judge.check(answer)
    assert call.means(answer, shop)


def test_the_sdk_asks_more_than_sixty_different_things(shop: Account, judge: Judge) -> None:
    for call in READS:
        call.ask(judge.sdk, shop)
    assert len({said.request for said in judge.said}) >= ENOUGH


def test_the_sdk_manages_a_subscription(shop: Account, judge: Judge) -> None:
    subscriptions = judge.sdk.webhooks.subscriptions
    wanted = {"name": "Judge", "notification_url": "https://127.0.0.1:9/hook", "event_types": ["vendor.updated"]}
    made = subscriptions.create(subscription=wanted, idempotency_key="judge")
    judge.check(made)
    assert made.subscription
    id_ = str(made.subscription.id)
    judge.check(subscriptions.get(id_))
    judge.check(subscriptions.update(id_, subscription={"name": "Judged"}))
    judge.check(subscriptions.update_signature_key(id_, idempotency_key="again"))
    judge.check(subscriptions.test(id_, event_type="vendor.updated"))
    judge.check(subscriptions.delete(id_))
    assert id_ not in ids(subscriptions.list(include_disabled=True))


def test_the_sdk_deletes_an_item(shop: Account, judge: Judge) -> None:
    gone = shop.world.catalog.item_id(9)
    answer = judge.sdk.catalog.object.delete(gone)
    judge.check(answer)
    assert gone in (answer.deleted_object_ids or [])


def test_the_sdk_turns_the_events_off_and_on(shop: Account, judge: Judge) -> None:
    judge.check(judge.sdk.events.disable_events())
    judge.check(judge.sdk.events.enable_events())
    assert shop.status()["options"]["events_enabled"]
