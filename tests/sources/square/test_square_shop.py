"""The simulated shop has what real accounts have: gift cards, prices keyed in at the till, nulls, scopes, older versions."""

import pytest

from app.domain import Kind, Verdict
from app.sources.base import Context, Unlimited
from app.sources.square import connect
from app.sources.square.source import SquareSource
from app.sources.square.webhook import SquareReceiver
from tests.sources.simulated import Servers
from tests.sources.square.square_account import TOKEN, Account, Simulate
from tests.sources.square.square_asking import (
    ORDERS,
    SEARCH,
    VENDORS,
    Json,
    document_of,
    every,
    get,
    order_query,
    post,
    refusal,
)
from tests.sources.square.square_copy import Copy, flat, ordered
from tests.sources.square.square_hook import KEY, Hook, acked


def variations(account: Account, **headers: str) -> list[Json]:
    """What is told of every variation."""
    result = document_of(post(account, SEARCH, {"object_types": ["ITEM_VARIATION"], "limit": 1000}, **headers))
    return [row["item_variation_data"] for row in result["objects"]]


def lines(account: Account) -> list[Json]:
    """Every line of every order."""
    rows = every(account, ORDERS, order_query(account), "orders")
    return [line for row in rows for line in row.get("line_items", [])]


def test_some_lines_are_gift_cards_that_name_no_variation(still: Account) -> None:
    cards = [line for line in lines(still) if line["item_type"] == "GIFT_CARD"]
    assert cards
    assert all("catalog_object_id" not in line and line["total_tax_money"]["amount"] == 0 for line in cards)


def test_selling_a_gift_card_moves_no_stock(simulate: Simulate) -> None:
    account = simulate(orders=0, offline=0.0)
    account.change(30, "pos_sale")
    goods = sum(line["item_type"] == "ITEM" for line in lines(account))
    sold = [move for move in account.world.counts.moves if move.target[1] == "SOLD"]
    assert (len(sold), goods < len(lines(account))) == (goods, True)


def test_some_prices_are_keyed_in_at_the_till(still: Account) -> None:
    told_prices = {(variation["pricing_type"], "price_money" in variation) for variation in variations(still)}
    assert told_prices == {("FIXED_PRICING", True), ("VARIABLE_PRICING", False)}


def test_some_items_are_gift_cards(still: Account) -> None:
    rows = every(still, SEARCH, {"object_types": ["ITEM"]}, "objects")
    assert {row["item_data"]["product_type"] for row in rows} == {"REGULAR", "GIFT_CARD"}


@pytest.mark.parametrize("kind", ["ITEM", "ITEM_VARIATION", "CATEGORY"])
def test_fields_that_may_be_null_are_null_now_and_then(still: Account, kind: str) -> None:
    rows = every(still, SEARCH, {"object_types": [kind]}, "objects")
    nulls = [row for row in rows if None in row[f"{kind.lower()}_data"].values()]
    assert 0 < len(nulls) < len(rows)


def test_fields_of_orders_are_null_now_and_then(still: Account) -> None:
    rows = every(still, ORDERS, order_query(still), "orders")
    assert 0 < sum(None in row.values() for row in rows) < len(rows)


def test_fields_of_vendors_are_null_now_and_then(still: Account) -> None:
    rows = every(still, VENDORS, {}, "vendors")
    assert 0 < sum(None in row.values() for row in rows) < len(rows)


SCOPES = {
    "/v2/locations": "MERCHANT_PROFILE_READ",
    "/v2/merchants/me": "MERCHANT_PROFILE_READ",
    "/v2/catalog/info": "ITEMS_READ",
    "/v2/inventory/X": "INVENTORY_READ",
    "/v2/orders/X": "ORDERS_READ",
    "/v2/vendors/X": "VENDOR_READ",
}


@pytest.mark.parametrize("path", SCOPES)
def test_a_token_without_the_scope_is_refused(simulate: Simulate, path: str) -> None:
    others = ",".join(sorted({*SCOPES.values()} - {SCOPES[path]}))
    assert refusal(get(simulate(scopes=others), path))[:2] == (403, "INSUFFICIENT_SCOPES")


@pytest.mark.parametrize("path", SCOPES)
def test_a_token_with_the_scope_is_let_in(simulate: Simulate, path: str) -> None:
    assert get(simulate(scopes=SCOPES[path]), path).status_code in (200, 404)


def test_reading_the_catalog_does_not_allow_to_delete_in_it(simulate: Simulate) -> None:
    account = simulate(scopes="ITEMS_READ")
    path = f"/v2/catalog/object/{account.world.catalog.item_id(0)}"
    answer = account.control.delete(path, headers={"authorization": f"Bearer {TOKEN}"})
    assert refusal(answer)[:2] == (403, "INSUFFICIENT_SCOPES")


def test_a_scope_that_does_not_exist_is_no_option(simulate: Simulate) -> None:
    assert simulate().control.post("/_sim/faults", json={"scopes": "ITEM_READ"}).status_code == 400


def test_events_are_sent_for_the_scopes_that_were_granted(simulate: Simulate, servers: Servers) -> None:
    hook = Hook(servers)
    account = simulate(webhook_url=hook.url, scopes="VENDOR_READ")
    account.change(3, "receipt", "price_edit")
    account.change(1, "vendor_edit")
    account.wait_for(acked(1))
    assert {delivery.type for delivery in hook.deliveries()} == {"vendor.updated"}


def test_events_of_another_merchant_come_too(simulate: Simulate, servers: Servers) -> None:
    hook = Hook(servers)
    account = simulate(webhook_url=hook.url)
    account.change(2, "foreign_event")
    account.wait_for(acked(2))
    read = SquareReceiver(hook.url, [KEY], account.world.options.merchant_id)
    assert {read.parse(headers, body).set_aside for headers, body in hook.came} == {Verdict.FOREIGN}


def test_an_older_version_shows_vendors_in_the_older_spelling(still: Account) -> None:
    rows = variations(still, square_version="2025-08-20")
    assert any("item_variation_vendor_infos" in row for row in rows)
    assert not any(row.get("vendor_information") for row in rows)


@pytest.mark.parametrize("kind", [Kind.PRODUCT, Kind.ORDER])
def test_an_older_version_leads_to_the_same_truth(still: Account, kind: Kind) -> None:
    options = {"access_token": TOKEN, "base_url": still.url, "webhook_keys": "k", "square_version": "2025-08-20"}
    source = connect(Context("square", Unlimited(), public_url="https://shop.example", patience=5.0), options)
    assert isinstance(source, SquareSource)
    copy = Copy(source)
    copy.read_delta(kind)
    truth = still.truth(kind)
    assert flat(copy, kind, truth) == ordered(truth)
    source.close()


def test_the_books_of_every_order_add_up(still: Account) -> None:
    for row in still.truth("order"):
        assert sum(line[4] for line in row["lines"]) == row["total_minor"]
