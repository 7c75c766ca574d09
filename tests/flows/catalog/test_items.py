"""Items as people look at them: found by SKU or id, explained change by change, and as they were at a moment."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from app.domain import Change, Delivery, ItemKey, Kind, Location, Principal, Role, StockCount
from app.errors import Conflict, InvalidRequest, NotFound
from app.flows.catalog.changes import NOW, changes_after
from app.flows.catalog.item_history import ItemChange, item_history, stock_as_of
from app.flows.catalog.items import ItemId, resolve, show, the_one
from app.flows.inbox.inbox import find
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.stores import catalog
from app.stores.history.rows import begin_load
from app.stores.inbox import inbox
from app.stores.inbox.inbox import Arrival
from app.stores.sql.engine import Database
from tests.fakes import EPOCH, SHOP, World, count, listing

A = ItemId(SHOP, "A")
OTHER = "other"


@pytest.fixture
def world(database: Database) -> World:
    """The shop sells A (5 on hand), which another connection sells too, and B."""
    world = World(database)
    sources = {SHOP: world.source, OTHER: world.source}
    world.deps = replace(world.deps, sources=sources)
    with database.begin() as conn:
        begin_load(conn, SHOP, Kind.STOCK, world.clock())
    hold(
        world, listing("A", price_minor=250, currency="EUR"), listing("B"), count("A", 5), Location("L1", name="Main")
    )
    with database.begin() as conn:
        twin = msgspec.structs.replace(listing("X9"), sku="SKU-A")
        catalog.apply(conn, OTHER, [twin], read_at=world.clock(), now=world.clock())
    return world


def hold(world: World, *records: Any) -> None:
    with world.database.begin() as conn:
        catalog.apply(conn, SHOP, records, read_at=world.clock(), now=world.clock(), by="run 1")


def webhook(world: World, name: str, record: Any) -> int:
    """The vendor changes a record and tells us; returns the number of the delivery."""
    world.clock.pass_(60)
    world.source.put(record)
    kind = Kind.STOCK if isinstance(record, StockCount) else Kind.PRODUCT
    id = record.listing_id if isinstance(record, StockCount) else record.external_id
    body = msgspec.json.encode({"id": name, "type": "changed", "items": [[kind, id]]})
    arrival = Arrival(SHOP, Delivery(name, "changed", [Change(kind, id)]), {"x-word": "friend"}, body, world.clock())
    with world.database.begin() as conn:
        inbox.accept(conn, [arrival])
    world.clock.pass_(1)
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, kind, id))
    return find(world.deps, f"event:{name}")[0].id


def changes(world: World, item: ItemId = A) -> Sequence[ItemChange]:
    return item_history(world.deps, item).rows


# --- which item ---


def test_an_item_is_named_by_connection_and_id(world: World) -> None:
    assert the_one(world.deps, "shop:A") == A


def test_an_item_is_named_by_an_sku_that_only_it_has(world: World) -> None:
    assert the_one(world.deps, "SKU-B") == ItemId(SHOP, "B")


def test_an_sku_of_several_connections_names_all_of_them(world: World) -> None:
    assert resolve(world.deps, "SKU-A") == [ItemId(OTHER, "X9"), A]


def test_one_item_by_an_sku_of_several_is_a_conflict_that_names_them(world: World) -> None:
    with pytest.raises(Conflict, match="other:X9, shop:A"):
        the_one(world.deps, "SKU-A")


def test_an_unknown_item_is_not_found(world: World) -> None:
    with pytest.raises(NotFound, match="no item 'nothing'"):
        the_one(world.deps, "nothing")


@pytest.mark.parametrize("text", ["shop:A", "SKU-A", "A"])
def test_nobody_learns_of_items_in_connections_that_they_may_not_see(world: World, text: str) -> None:
    stranger = replace(world.deps, principal=Principal("x", Role.VIEWER, connections=frozenset({OTHER})))
    assert A not in resolve(stranger, text)


# --- what it is ---


def test_an_item_shows_its_stock_with_the_name_of_the_place_and_what_brought_it(world: World) -> None:
    (stock,) = show(world.deps, A).stock
    assert (stock.location, stock.quantity, stock.written_by) == ("Main", Decimal(5), "run 1")


def test_an_item_shows_who_else_sells_it(world: World) -> None:
    assert [twin.id for twin in show(world.deps, A).elsewhere] == ["other:X9"]


# --- why is this 3 ---


def test_a_change_names_the_delivery_that_brought_it(world: World) -> None:
    event = webhook(world, "e1", count("A", 3, 2))
    newest = changes(world)[0]
    assert (newest.says, newest.written_by, newest.events) == ("on hand at Main 5 → 3", "webhook", [event])


def test_a_price_is_told_in_its_currency(world: World) -> None:
    webhook(world, "e1", listing("A", 2, price_minor=199, currency="EUR"))
    (says,) = [row.says for row in changes(world) if row.op == "updated"]
    assert says == "price 2.50 EUR → 1.99 EUR"


def test_a_change_by_a_run_names_no_delivery(world: World) -> None:
    webhook(world, "e1", count("A", 3, 2))
    world.clock.pass_(60)
    hold(world, count("A", 2, 3))
    assert (changes(world)[0].written_by, changes(world)[0].events) == ("run 1", [])


def test_pages_of_a_history_follow_each_other(world: World) -> None:
    for number in range(5):
        webhook(world, f"e{number}", count("A", 10 + number, 10 + number))
    first = item_history(world.deps, A, limit=4)
    second = item_history(world.deps, A, limit=4, before=first.next)
    together = [row.id for row in (*first.rows, *second.rows)]
    assert together == [row.id for row in changes(world)]


def test_the_last_page_of_a_history_has_no_next(world: World) -> None:
    assert item_history(world.deps, A, limit=50).next is None


@pytest.mark.parametrize("place", ["x", "1-", "-1", "99999999999999999999-1", "1-2-3", "²-1"])
def test_a_place_that_is_none_is_refused(world: World, place: str) -> None:
    with pytest.raises(InvalidRequest, match="no place in a history"):
        item_history(world.deps, A, before=place)


# --- as of ---


def test_stock_as_of_a_moment_is_what_it_was(world: World) -> None:
    webhook(world, "e1", count("A", 3, 2))
    then = world.clock()
    webhook(world, "e2", count("A", 8, 3))
    assert stock_as_of(world.deps, A, then).on_hand == 3


def test_before_the_history_begins_nothing_is_known(world: World) -> None:
    then = stock_as_of(world.deps, A, EPOCH - timedelta(days=1))
    assert (then.on_hand, then.counts) == (None, [])


# --- the feed ---


def test_the_feed_tells_what_changed_behind_the_cursor(world: World) -> None:
    cursor = changes_after(world.deps, NOW, 10).cursor
    webhook(world, "e1", count("A", 3, 2))
    (row,) = changes_after(world.deps, cursor, 10).rows
    assert (row.op, row.kind, row.external_id, row.fields) == (
        "updated",
        "stock",
        "A",
        {"quantity": (Decimal(5), Decimal(3))},
    )


def test_the_feed_shows_nothing_of_connections_that_the_caller_may_not_see(world: World) -> None:
    stranger = replace(world.deps, principal=Principal("x", Role.VIEWER, connections=frozenset({OTHER})))
    assert {row.connection for row in changes_after(stranger, None, 100).rows} == {OTHER}
