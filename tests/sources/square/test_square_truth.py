"""Full reads, deltas and item fetches against the simulator's own truth, row for row."""

import pytest

from app.domain import ALL_ITEMS, Kind
from tests.sources.simulated import Servers
from tests.sources.square.square_account import Simulate
from tests.sources.square.square_copy import Copy, flat, ordered
from tests.sources.square.square_hook import Hook, acked

KINDS = list(Kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_read_equals_the_truth(simulate: Simulate, kind: Kind) -> None:
    account = simulate(products=60, orders=30, locations=12)
    copy = Copy(account.source)
    copy.read_delta(kind) if kind is Kind.ORDER else copy.read_full(kind)
    truth = account.truth(kind)
    assert flat(copy, kind, truth) == ordered(truth)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_read_of_a_shop_without_locations_equals_the_truth(simulate: Simulate, kind: Kind) -> None:
    account = simulate(products=240, locations=0)
    copy = Copy(account.source)
    copy.read_delta(kind) if kind is Kind.ORDER else copy.read_full(kind)
    truth = account.truth(kind)
    assert flat(copy, kind, truth) == ordered(truth)


@pytest.mark.parametrize("kind", KINDS)
def test_a_delta_after_many_changes_equals_the_truth(simulate: Simulate, kind: Kind) -> None:
    account = simulate(products=60, orders=20, locations=12, short_pages=0.3, empty_pages=0.3)
    copy = Copy(account.source)
    copy.read_delta(kind)
    for _ in range(3):
        account.change(60)
        copy.read_delta(kind)
    truth = account.truth(kind)
    assert flat(copy, kind, truth) == ordered(truth)


@pytest.mark.parametrize("kind", [Kind.STOCK, Kind.ORDER, Kind.VENDOR, Kind.PRODUCT, Kind.LOCATION])
def test_what_webhooks_say_leads_to_the_truth(simulate: Simulate, servers: Servers, kind: Kind) -> None:
    hook = Hook(servers)
    account = simulate(webhook_url=hook.url, orders=10, reorder=0.5, reorder_seconds=0.05, duplicate=0.3)
    copy = Copy(account.source)
    copy.read_delta(kind)
    account.change(40, kind)
    account.wait_for(acked(40))
    said = {change for delivery in hook.deliveries() for change in delivery.changes if change.kind is kind}
    copy.fetch([change for change in said if change.external_id != ALL_ITEMS])
    for _ in {change for change in said if change.external_id == ALL_ITEMS}:
        copy.read_delta(kind)
    truth = account.truth(kind)
    assert flat(copy, kind, truth) == ordered(truth)


@pytest.mark.parametrize("what", ["related_edit", "category_edit"])
def test_what_products_only_mention_is_followed(simulate: Simulate, what: str) -> None:
    account = simulate(products=60)
    copy = Copy(account.source)
    copy.read_delta(Kind.PRODUCT)
    account.change(1, "price_edit")
    copy.read_delta(Kind.PRODUCT)  # from here on, what was not edited lies before the watermark
    account.change(20, what)
    copy.read_delta(Kind.PRODUCT)
    truth = account.truth(Kind.PRODUCT)
    assert flat(copy, Kind.PRODUCT, truth) == ordered(truth)


def test_the_truth_has_every_kind_of_detail(simulate: Simulate) -> None:
    rows = simulate(products=240).truth(Kind.PRODUCT)
    details = ("category", "category_path", "unit", "images", "options", "modifiers", "taxes", "sold_out")
    assert [name for name in (*details, "archived", "supplier_sku") if not any(row[name] for row in rows)] == []
