"""Validation as people get it: in sentences, remembered for a while, and never for an unknown connection."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from app.domain import Kind, Record
from app.errors import Refused
from app.flows.catalog.cache import cached
from app.flows.catalog.validate import FRESH, Check, Validation, validate
from app.stores import catalog, validation
from app.stores.catalog import watermarks
from app.stores.reports import cache
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World, count, listing


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def hold(world: World, *records: Record, ago: timedelta = timedelta(hours=1)) -> None:
    then = world.clock() - ago
    with world.database.begin() as conn:
        catalog.apply(conn, SHOP, records, read_at=then, now=then)


def check(world: World, name: str, **options: Any) -> Check:
    return next(check for check in validate(world.deps, SHOP, **options).checks if check.check == name)


def priced(*names: str) -> list[Record]:
    return [listing(name, price_minor=1) for name in names]


def test_every_check_is_told(world: World) -> None:
    told = validate(world.deps, SHOP).checks
    assert tuple(check.check for check in told) == validation.CHECKS


def test_a_validation_can_be_written_as_json(world: World) -> None:
    hold(world, listing("A"), count("Z", 1))
    told = validate(world.deps, SHOP)
    assert msgspec.json.decode(msgspec.json.encode(told), type=Validation) == told


def test_problems_are_the_sum_of_all_checks(world: World) -> None:
    hold(world, listing("A"), listing("B"), count("Z", 1))
    assert validate(world.deps, SHOP).problems == 3


@pytest.mark.parametrize(
    ("listings", "says"),
    [
        (0, "Every listing has a price."),
        (1, "One listing has no price."),
        (1200, "1,200 listings have no price."),
    ],
)
def test_what_was_found_is_said_in_a_sentence(world: World, listings: int, says: str) -> None:
    hold(world, *(listing(f"A{number}") for number in range(listings)))
    assert check(world, "missing_price").says == says


def test_samples_are_limited_and_the_count_is_not(world: World) -> None:
    hold(world, listing("A"), listing("B"), listing("C"))
    found = check(world, "missing_price", samples=2)
    assert (found.count, [sample["item"] for sample in found.samples]) == (3, ["A", "B"])


def test_a_remembered_validation_shows_as_many_samples_as_the_next_one_asks_for(world: World) -> None:
    hold(world, listing("A"), listing("B"), listing("C"))
    validate(world.deps, SHOP, samples=1)
    assert len(check(world, "missing_price", samples=3).samples) == 3


def test_rows_that_a_run_read_completely_are_not_stale(world: World) -> None:
    hold(world, *priced("A"), ago=timedelta(days=8))
    with world.database.begin() as conn:
        watermarks.put(conn, SHOP, Kind.PRODUCT, "1", world.clock())
    assert check(world, "not_read_lately").count == 1
    confirm(world)
    assert check(world, "not_read_lately", anew=True).count == 0


def confirm(world: World) -> None:
    """A full run has found all products right."""
    with world.database.begin() as conn:
        conn.exec_driver_sql(
            "INSERT INTO runs (connection, strategy, cause, status, created_at, kills, counts, calls, dry, options,"
            " progress, checkpoint) VALUES ('shop', 'full', 'schedule', 'completed', '2026-06-01 03:00:00.000000',"
            " 0, '{\"product\": {\"agreement\": 1.0}}', 1, false, '{}', '{}', '{}')"
        )


def test_an_unknown_connection_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="no connection 'nowhere'; use one of: shop"):
        validate(world.deps, "nowhere")


# --- remembered ---


def test_a_validation_is_remembered_with_its_age(world: World) -> None:
    first = validate(world.deps, SHOP)
    hold(world, listing("A"))
    world.clock.pass_(60)
    assert validate(world.deps, SHOP) == msgspec.structs.replace(first, age_seconds=60.0)


def test_a_validation_that_is_no_longer_fresh_is_made_again(world: World) -> None:
    validate(world.deps, SHOP)
    hold(world, listing("A"))
    world.clock.pass_(FRESH.total_seconds())
    assert check(world, "missing_price").count == 1


def test_who_asks_for_a_new_answer_gets_one(world: World) -> None:
    validate(world.deps, SHOP)
    hold(world, listing("A"))
    assert check(world, "missing_price", anew=True).count == 1


def test_what_was_found_again_is_cached(world: World) -> None:
    validate(world.deps, SHOP)
    hold(world, listing("A"))
    validate(world.deps, SHOP, anew=True)
    assert check(world, "missing_price").count == 1


def test_connections_have_answers_of_their_own(world: World) -> None:
    cached(world.deps, "one", "what", lambda conn: 1, int, fresh=FRESH)
    assert cached(world.deps, "two", "what", lambda conn: 2, int, fresh=FRESH).answer == 2


def test_who_asks_at_the_same_time_shares_one_search(world: World) -> None:
    searches: list[int] = []

    def search(conn: object) -> int:
        searches.append(1)
        return len(searches)

    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(cached, world.deps, SHOP, "what", search, int, fresh=FRESH) for _ in range(8)]
    assert [future.result().answer for future in futures] == [1] * 8


def test_an_answer_found_earlier_does_not_replace_a_later_one(world: World) -> None:
    def overtaken(conn: object) -> str:
        world.clock.pass_(5)
        with ThreadPoolExecutor(1) as other:
            other.submit(late_search).result()
        return "earlier"

    def late_search() -> None:
        with world.database.begin() as conn:
            cache.put(conn, SHOP, "what", cache.CachedAnswer("later", world.clock(), 1))

    cached(world.deps, SHOP, "what", overtaken, str, fresh=FRESH)
    assert cached(world.deps, SHOP, "what", lambda conn: "never asked", str, fresh=FRESH).answer == "later"
