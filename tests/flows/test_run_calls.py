"""What a run costs its vendor in calls, measured at the simulated vendor itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from app.domain import Answer, Kind, Options, Ref, Strategy
from app.errors import Permanent
from app.flows.leases import LeaseKeeper
from app.flows.request_run import request_run
from app.flows.run import run
from app.stores.engine import Database
from tests.fakes import SHOP, FakeSource, World, count, listing
from tests.flows.shops import Shop, shop

LIST = "/api/inventoryitem/"


@pytest.fixture
def finale(database: Database) -> Iterator[Shop]:
    with shop("finale", database) as opened:
        opened.run(Strategy.FULL)
        yield opened


def empty_shelves(shop: Shop) -> None:
    with shop.deps.database.begin() as conn:
        conn.exec_driver_sql("UPDATE stock SET quantity = 0")


def in_one_category(shop: Shop) -> None:
    with shop.deps.database.begin() as conn:
        conn.exec_driver_sql("UPDATE listings SET category = 'Bowls'")


def test_a_category_reads_the_stock_list_once(finale: Shop) -> None:
    in_one_category(finale)
    before = finale.requests(LIST)
    finale.run(Strategy.CATEGORY, category="Bowls")
    assert finale.requests(LIST) - before == 1


def test_what_is_critical_reads_the_stock_list_once(finale: Shop) -> None:
    empty_shelves(finale)
    before = finale.requests(LIST)
    finale.run(Strategy.CRITICAL)
    assert finale.requests(LIST) - before == 1


def test_a_run_tells_as_many_calls_as_the_vendor_saw(finale: Shop) -> None:
    empty_shelves(finale)
    before = finale.requests("")
    ended = finale.run(Strategy.CRITICAL)
    assert ended["calls"] == finale.requests("") - before


def test_stock_rows_of_a_category_are_counted_once(finale: Shop) -> None:
    in_one_category(finale)
    counts = finale.run(Strategy.CATEGORY, category="Bowls")["counts"]["stock"]
    rows = finale.control.get("/_sim/truth/stock").json()
    assert counts["unchanged"] + counts["updated"] + counts["created"] <= len(rows)


def test_the_stock_of_one_product_says_nothing_of_the_stock_of_others(finale: Shop) -> None:
    listed = finale.control.get("/_sim/truth/stock").json()
    wanted = listed[0]["listing_id"]
    answer = finale.source.fetch([Ref(Kind.STOCK, wanted)])
    assert {record.listing_id for record in answer.records} == {wanted}  # type: ignore[union-attr]


# --- a list that the vendor refuses is not refused for one item's sake ---


class ListingSource(FakeSource):
    """A vendor whose stock can only be read as one list."""

    def __init__(self) -> None:
        super().__init__()
        self.listed_kinds = (Kind.STOCK,)
        self.refuse_lists = False

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        answer = super().fetch(refs)
        if self.refuse_lists and refs[0].kind is Kind.STOCK:
            raise Permanent("the list was refused")
        return answer


@pytest.fixture
def world(database: Database) -> World:
    world = World(database, ListingSource())
    world.source.put(*(listing(f"P{number:03}", category="Bowls") for number in range(30)))
    world.source.put(*(count(f"P{number:03}", 5) for number in range(30)))
    go(world, Strategy.FULL)
    world.source.asked.clear()
    return world


def go(world: World, strategy: Strategy, **options: str) -> int:
    run_id = request_run(world.deps, SHOP, strategy, Options(**options), cause="person")  # type: ignore[arg-type]
    run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    return run_id


def stock_reads(world: World) -> int:
    return sum(1 for asked in world.source.asked if set(asked) <= set(world.source.counts) and len(asked) > 1)


def test_all_items_of_a_listed_kind_are_asked_for_together(world: World) -> None:
    go(world, Strategy.CATEGORY, category="Bowls")
    assert stock_reads(world) == 1


def test_a_list_that_is_refused_is_not_read_once_for_each_item(world: World) -> None:
    world.source.refuse_lists = True  # type: ignore[attr-defined]
    with pytest.raises(Permanent):
        go(world, Strategy.CATEGORY, category="Bowls")
    assert stock_reads(world) == 1
