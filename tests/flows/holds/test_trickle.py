"""Webhooks that are worked off one by one are judged with those before them: a disaster may come a row at a time."""

import pytest
from msgspec.structs import replace

from app.flows.holds import holds
from app.stores.sql.engine import Database
from tests.fakes import FakeSource, World, listing
from tests.flows.holds.test_doubted_items import ALL, send_webhooks
from tests.flows.holds.test_holds import SIZE, only, price, read_all


@pytest.fixture
def world(database: Database) -> World:
    """A shop of 24 products at 10.00, read once, whose source answers for one product a call."""
    world = World(database, FakeSource(batch=1))
    world.source.put(*(listing(id, price_minor=1_000) for id in ALL))
    read_all(world)
    return world


def one_by_one(world: World, *numbers: int) -> None:
    """A webhook for each of these products, and each is worked off before the next one comes."""
    for number in numbers or range(SIZE):
        send_webhooks(world, ids=[ALL[number]])


def at(world: World, price_minor: int) -> int:
    with world.database.read() as conn:
        rows = conn.exec_driver_sql(
            f"SELECT count(*) FROM listings WHERE price_minor = {price_minor} AND NOT deleted"
        )
        return int(rows.scalar() or 0)


def names(world: World) -> list[str]:
    with world.database.read() as conn:
        return list(conn.exec_driver_sql("SELECT name FROM listings ORDER BY external_id").scalars())


def test_from_the_third_on_prices_in_another_unit_are_held_though_they_come_one_by_one(world: World) -> None:
    price(world)
    one_by_one(world)
    assert (at(world, 100_000), at(world, 1_000), only(world).rows) == (2, SIZE - 2, SIZE - 2)


def test_deletions_that_come_one_by_one_are_held_beyond_a_fifth_of_the_shop(world: World) -> None:
    world.source.listings.clear()
    one_by_one(world)
    with world.database.read() as conn:
        live = conn.exec_driver_sql("SELECT count(*) FROM listings WHERE NOT deleted").scalar()
    assert live == SIZE - 4


def test_swapped_skus_are_known_though_the_other_half_of_the_swap_was_written_before(world: World) -> None:
    for number in range(SIZE):
        world.source.put(replace(listing(ALL[number], 9, price_minor=1_000), sku=f"SKU-{ALL[number ^ 1]}"))
    one_by_one(world)
    with world.database.read() as conn:
        swapped = conn.exec_driver_sql("SELECT count(*) FROM listings WHERE sku <> 'SKU-' || external_id").scalar()
    assert swapped == 2


def test_a_merchant_may_reprice_everything_one_by_one(world: World) -> None:
    for number in range(SIZE):
        world.source.put(listing(ALL[number], 9, price_minor=1_100 + 13 * number))
    one_by_one(world)
    assert (at(world, 1_000), holds.list_(world.deps)) == (0, [])


def test_what_was_put_right_again_is_not_counted(world: World) -> None:
    price(world, 0, 1)
    one_by_one(world, 0, 1)
    price(world, 0, 1, times=1, version=10)
    one_by_one(world, 0, 1)
    price(world, 2, 3, version=11)
    one_by_one(world, 2, 3)
    assert (at(world, 100_000), holds.list_(world.deps)) == (2, [])


def test_what_came_hours_ago_is_not_counted(world: World) -> None:
    for number in range(6):
        price(world, number)
        one_by_one(world, number)
        world.clock.pass_(3_601)
    assert (at(world, 100_000), holds.list_(world.deps)) == (6, [])


def test_rows_that_wait_on_in_the_next_hold_are_kept_once(world: World) -> None:
    price(world)
    one_by_one(world)
    with world.database.read() as conn:
        kept = conn.exec_driver_sql("SELECT count(*) FROM hold_rows").scalar()
    assert kept == only(world).rows == SIZE - 2
