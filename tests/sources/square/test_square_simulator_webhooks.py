"""The simulator's webhooks: signed for our receiver, retried as Square retries, lost only on demand."""

from datetime import UTC, datetime

import msgspec
import pytest
from starlette.responses import Response

from app.domain import Kind
from app.sources.square.simulator.webhooks import GAPS
from app.sources.square.webhook import SquareReceiver
from tests.sources.simulated import Servers
from tests.sources.square.square_account import Account, Simulate
from tests.sources.square.square_hook import KEY, Hook, acked


def test_our_receiver_verifies_what_the_simulator_signs(simulate: Simulate, servers: Servers) -> None:
    hook = Hook(servers)
    account = simulate(webhook_url=hook.url)
    account.change(1, "receipt")
    account.wait_for(acked(1))
    headers, body = hook.came[0]
    SquareReceiver(hook.url, [KEY]).verify(headers, body, datetime.now(UTC))


def test_a_receipt_is_one_event_with_two_counts(simulate: Simulate, servers: Servers) -> None:
    hook = Hook(servers)
    account = simulate(webhook_url=hook.url)
    touched = account.change(1, "receipt")[0]["external_id"]
    account.wait_for(acked(1))
    delivery = SquareReceiver(hook.url, [KEY]).parse(*hook.came[0])
    assert [(change.kind, change.external_id) for change in delivery.changes] == [(Kind.STOCK, touched)]


def test_a_sale_at_the_till_raises_no_order_event(simulate: Simulate, servers: Servers) -> None:
    hook = Hook(servers)
    account = simulate(webhook_url=hook.url)
    account.change(1, "pos_sale")
    account.wait_for(acked(3))
    kinds = {SquareReceiver(hook.url, [KEY]).parse(*one).type for one in hook.came}
    assert kinds == {"payment.created", "payment.updated", "inventory.count.updated"}


def test_a_stock_take_is_split_into_events_of_a_hundred_counts(simulate: Simulate, servers: Servers) -> None:
    hook = Hook(servers)
    account = simulate(webhook_url=hook.url, products=2000)
    account.change(12, "recount")
    account.wait_for(acked(12))
    sizes = [len(SquareReceiver(hook.url, [KEY]).parse(*one).changes) for one in hook.came]
    assert max(sizes) == 100


def failing(account: Account, hook: Hook) -> list[tuple[dict[str, str], bytes]]:
    account.change(1, "receipt")
    account.wait_for(lambda status: status["webhooks"]["pending"] == 0 and status["webhooks"]["sent"] > 0)
    return hook.came


def test_a_delivery_is_tried_twelve_times_and_then_discarded(simulate: Simulate, servers: Servers) -> None:
    hook = Hook(servers, lambda number: Response(status_code=500))
    came = failing(simulate(webhook_url=hook.url, time_scale=1_000_000.0), hook)
    assert len(came) == 1 + len(GAPS) == 12


def test_the_retries_follow_squares_schedule() -> None:
    assert [sum(GAPS[:number]) for number in range(1, 12)] == [
        *(60 * minutes for minutes in (1, 3, 7, 15, 31, 63)),
        *(123 * 60, 243 * 60, 483 * 60, 963 * 60, 1443 * 60),
    ]


def test_a_retry_has_the_same_bytes(simulate: Simulate, servers: Servers) -> None:
    hook = Hook(servers, lambda number: Response(status_code=503 if number < 3 else 200))
    came = failing(simulate(webhook_url=hook.url, time_scale=1_000_000.0), hook)
    assert len({body for _, body in came}) == 1


def test_only_retries_carry_retry_headers(simulate: Simulate, servers: Servers) -> None:
    hook = Hook(servers, lambda number: Response(status_code=503 if number < 3 else 200))
    came = failing(simulate(webhook_url=hook.url, time_scale=1_000_000.0), hook)
    told = [(headers.get("square-retry-number"), headers.get("square-retry-reason")) for headers, _ in came]
    assert told == [(None, None), ("1", "http_error"), ("2", "http_error")]


def test_a_redirect_is_a_failure(simulate: Simulate, servers: Servers) -> None:
    answer = {1: Response(status_code=302, headers={"location": "/elsewhere"})}
    hook = Hook(servers, lambda number: answer.get(number, Response(status_code=200)))
    assert len(failing(simulate(webhook_url=hook.url, time_scale=1_000_000.0), hook)) == 2


def test_a_late_acknowledgement_is_a_timeout(simulate: Simulate, servers: Servers) -> None:
    hook = Hook(servers)
    came = failing(simulate(webhook_url=hook.url, time_scale=1_000_000.0, late_ack=1.0), hook)
    assert came[-1][0]["square-retry-reason"] == "http_timeout"


def test_three_weeks_of_failures_disable_the_subscription(simulate: Simulate, servers: Servers) -> None:
    hook = Hook(servers, lambda number: Response(status_code=500))
    account = simulate(webhook_url=hook.url, time_scale=1_000_000_000.0)
    failing(account, hook)
    assert account.status()["webhooks"]["enabled"] is False


@pytest.mark.parametrize(("fault", "came"), [("drop", 0), ("duplicate", 2)])
def test_an_event_is_dropped_or_doubled_on_demand(
    simulate: Simulate, servers: Servers, fault: str, came: int
) -> None:
    hook = Hook(servers)
    account = simulate(webhook_url=hook.url, **{fault: 1.0})
    account.change(1, "receipt")
    account.wait_for(lambda status: status["webhooks"]["published"] == 1 and status["webhooks"]["pending"] == 0)
    assert len(hook.came) == came


def test_delayed_and_reordered_events_arrive_in_the_end(simulate: Simulate, servers: Servers) -> None:
    hook = Hook(servers)
    account = simulate(webhook_url=hook.url, reorder=0.5, reorder_seconds=0.05, delay=0.3, time_scale=1_000_000.0)
    account.change(20, "receipt")
    account.wait_for(acked(20))
    assert len(hook.came) == 20


def test_a_living_shop_changes_by_itself(simulate: Simulate) -> None:
    account = simulate(changes_per_minute=60_000.0, orders=0)
    account.wait_for(lambda status: status["orders"] > 3)


def test_an_event_that_is_acknowledged_is_shown_by_its_id(simulate: Simulate, servers: Servers) -> None:
    hook = Hook(servers, lambda number: Response(status_code=500 if number < 3 else 200))
    account = simulate(webhook_url=hook.url, time_scale=1_000_000.0)
    failing(account, hook)
    ids = {msgspec.json.decode(body)["event_id"] for _, body in hook.came}
    assert set(account.control.get("/_sim/acknowledged").json()) == ids
