"""Critical listings as people page through them."""

from typing import Any

import pytest

from app.domain import Record
from app.errors import Refused
from app.flows.catalog.critical import FRESH, page
from app.stores import catalog
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World, count, listing


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    hold(world, *(record for name in "DBCA" for record in (listing(name), count(name, 0))))
    return world


def hold(world: World, *records: Record) -> None:
    with world.database.begin() as conn:
        catalog.apply(conn, SHOP, records, read_at=world.clock(), now=world.clock())


def shown(world: World, limit: int = 10, **options: Any) -> str:
    return "".join(item.external_id for item in page(world.deps, SHOP, limit=limit, **options).items)


def test_pages_follow_each_other_by_id(world: World) -> None:
    assert (shown(world, 3), shown(world, 3, after="C")) == ("ABC", "D")


def test_counts_are_shown_with_their_age(world: World) -> None:
    page(world.deps, SHOP, limit=1)
    world.clock.pass_(20)
    told = page(world.deps, SHOP, limit=1)
    assert (told.counts, told.age.age_seconds) == ({"out": 4, "low": 0}, 20.0)


def test_what_is_in_stock_again_is_gone_at_once_and_the_page_is_full_all_the_same(world: World) -> None:
    shown(world)
    hold(world, count("A", 5, version=2))
    assert shown(world, 3) == "BCD"


def test_what_went_out_of_stock_is_shown_within_a_minute(world: World) -> None:
    shown(world)
    hold(world, listing("E"), count("E", 0))
    before = shown(world)
    world.clock.pass_(FRESH.total_seconds())
    assert (before, shown(world)) == ("ABCD", "ABCDE")


def test_who_asks_for_a_new_answer_gets_one(world: World) -> None:
    shown(world)
    hold(world, listing("E"), count("E", 0))
    assert shown(world, anew=True) == "ABCDE"


def test_an_unknown_connection_is_refused(world: World) -> None:
    with pytest.raises(Refused):
        page(world.deps, "nowhere", limit=1)
