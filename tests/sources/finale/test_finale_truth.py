"""Full reads and deltas through real HTTP end in what the simulated account holds, row for row."""

from collections.abc import Callable

import pytest

from app.domain import Kind, Listing, Ref
from tests.sources.finale.finale_account import Account
from tests.sources.finale.finale_copy import Copy, in_order

Simulate = Callable[..., Account]
WHOLE_KINDS = (Kind.LOCATION, Kind.VENDOR, Kind.PRODUCT, Kind.STOCK)


@pytest.mark.parametrize("kind", WHOLE_KINDS)
def test_a_full_read_is_the_truth(simulate: Simulate, kind: Kind) -> None:
    account = simulate()
    copy = Copy(account.source())
    copy.full(kind)
    assert copy.told(kind) == in_order(account.truth(kind))
    assert copy.told(kind)


def test_a_first_delta_of_orders_with_their_fetches_is_the_truth(simulate: Simulate) -> None:
    account = simulate()
    copy = Copy(account.source())
    copy.delta(Kind.ORDER)
    assert copy.told(Kind.ORDER) == in_order(account.truth("order"))


def test_orders_that_come_with_lines_need_no_fetch(simulate: Simulate) -> None:
    account = simulate(lines_in_list=True)
    pages = list(account.source().delta(Kind.ORDER, None))
    assert not [change for page in pages for change in page.changes]
    assert sum(len(page.records) for page in pages) == len(account.truth("order"))


@pytest.mark.parametrize("kind", [*WHOLE_KINDS, Kind.ORDER])
def test_a_delta_after_changes_is_the_truth(simulate: Simulate, kind: Kind) -> None:
    account = simulate(hard_deletes=False)
    copy = Copy(account.source())
    copy.delta(kind)
    account.change(60)
    account.change(5, "product", "vendor", "location")
    copy.delta(kind)
    assert copy.told(kind) == in_order(account.truth(kind))


def test_a_second_delta_reads_only_what_is_new(simulate: Simulate) -> None:
    account = simulate()
    copy = Copy(account.source())
    copy.delta(Kind.PRODUCT)
    changed = {each["external_id"] for each in account.change(5, "product") if each["kind"] == "product"}
    pages = account.source().delta(Kind.PRODUCT, copy.watermarks[Kind.PRODUCT])
    assert {record.external_id for page in pages for record in page.records} == changed


def test_a_full_read_ends_the_life_of_a_product_deleted_for_good(simulate: Simulate) -> None:
    account = simulate(hard_deletes=True, orders=0)
    copy = Copy(account.source())
    copy.full(Kind.PRODUCT)
    account.world.drop_product(account.world.products[7])
    copy.full(Kind.PRODUCT)
    assert copy.told(Kind.PRODUCT) == in_order(account.truth("product"))


def test_a_single_record_says_the_same_as_the_list(simulate: Simulate) -> None:
    account = simulate(products=40)
    source = account.source()
    listed = [record for page in source.full(Kind.PRODUCT) for record in page.records]
    fetched = [source.fetch([Ref(Kind.PRODUCT, record.external_id)]).records[0] for record in listed]
    assert fetched == listed


@pytest.mark.parametrize("kind", [Kind.LOCATION, Kind.VENDOR])
def test_a_place_or_vendor_can_be_fetched_alone(simulate: Simulate, kind: Kind) -> None:
    account = simulate()
    first = account.truth(kind)[0]
    assert account.source().fetch([Ref(kind, first["external_id"])]).records[0].name == first["name"]


def test_a_customer_is_no_vendor(simulate: Simulate) -> None:
    ref = Ref(Kind.VENDOR, "20001")
    assert simulate().source().fetch([ref]).gone == [ref]


def test_every_product_is_found_by_its_sku(simulate: Simulate) -> None:
    account = simulate(products=12)
    source = account.source()
    for row in account.truth("product"):
        result = source.fetch([Ref(Kind.PRODUCT, f"sku:{row['sku']}")]).records
        assert [record.external_id for record in result] == [row["external_id"]]


def test_a_sku_that_a_capped_filter_overlooks_is_found_by_its_url(simulate: Simulate) -> None:
    account = simulate(products=60, row_cap=5, cap_unfiltered=True)
    last = next(product for product in reversed(account.world.by_update()) if product.tail == product.sku)
    assert account.source().fetch([Ref(Kind.PRODUCT, f"sku:{last.sku}")]).records


@pytest.mark.parametrize("ref", [Ref(Kind.PRODUCT, "NOPE"), Ref(Kind.PRODUCT, "sku:NOPE"), Ref(Kind.ORDER, "99999")])
def test_what_does_not_exist_is_gone(simulate: Simulate, ref: Ref) -> None:
    answer = simulate().source().fetch([ref])
    assert (answer.gone, answer.records) == ([ref], [])


def test_many_refs_to_stock_are_answered_by_one_read_of_the_list(simulate: Simulate) -> None:
    account = simulate()
    source = account.source()
    ids = sorted({row["listing_id"] for row in account.truth("stock")})[:60]
    assert source.batch_size(Kind.STOCK) >= len(ids)
    answer = source.fetch([Ref(Kind.STOCK, id) for id in ids])
    assert source.calls() == 1
    assert {record.listing_id for record in answer.records} == set(ids)


def test_a_ref_to_stock_is_answered_with_all_stock(simulate: Simulate) -> None:
    account = simulate(products=20)
    answer = account.source().fetch([Ref(Kind.STOCK, "*")])
    assert len(answer.records) == len(account.truth("stock"))
    assert [scope.kind for scope in answer.covers] == [Kind.STOCK]


@pytest.mark.parametrize("as_columns", [False, True])
def test_an_empty_account_is_a_complete_read_of_nothing(simulate: Simulate, as_columns: bool) -> None:
    account = simulate(products=0, orders=0, empty_as_columns=as_columns)
    pages = list(account.source().full(Kind.PRODUCT))
    assert pages[-1].complete is not None
    assert not [record for page in pages for record in page.records]


def test_blank_cells_mean_the_same_as_nulls(simulate: Simulate) -> None:
    account = simulate(products=60, blank_cells=True)
    copy = Copy(account.source())
    copy.full(Kind.PRODUCT, Kind.STOCK)
    assert copy.told(Kind.PRODUCT) == in_order(account.truth("product"))


def test_the_shop_has_prices_in_other_lists_and_blank_suppliers(simulate: Simulate) -> None:
    result = [record for page in simulate(products=200).source().full(Kind.PRODUCT) for record in page.records]
    listings = [record for record in result if isinstance(record, Listing)]
    unchosen = [
        listing for listing in listings if listing.price_minor is None and "##user6" in (listing.prices or "")
    ]
    blank = [listing for listing in listings if (listing.suppliers or "").startswith("[{},") and listing.supplier_id]
    assert (len(unchosen) > 0, len(blank) > 0) == (True, True)
