"""How many records a run will have, where its source does not tell: guessed from earlier runs, corrected as pages come."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest

from app.domain import Kind, Options, Page, Strategy
from app.flows.items.leases import LeaseKeeper
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.flows.runs.runs_view import RunView, run_view
from app.stores.runs import runs
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, count, listing


class Silent(FakeSource):
    """A vendor that does not say how many records a read will have."""

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        return (msgspec.structs.replace(page, expected=None) for page in super().full(kind, resume))

    def window(
        self, kind: Kind, since: datetime | None, until: datetime | None, resume: str | None = None
    ) -> Iterator[Page]:
        return (msgspec.structs.replace(page, expected=None) for page in super().window(kind, since, until, resume))


@pytest.fixture
def world(database: Database) -> World:
    world = World(database, Silent(page_size=10))
    world.source.put(*(listing(f"P{number:02}", 12_000_000) for number in range(40)))
    world.source.put(*(count(f"P{number:02}", 5) for number in range(20)))
    return world


def watched(world: World, strategy: Strategy, **options: Any) -> list[RunView]:
    """A run as people saw it at every page."""
    world.clock.pass_(3600)
    run_id = request_run(world.deps, SHOP, strategy, Options(**options), cause="person")
    seen: list[RunView] = []

    def look(_: int = 0) -> None:
        world.clock.pass_(1)
        with world.database.read() as conn:
            row = runs.get(conn, run_id)
        assert row is not None
        seen.append(run_view(row, world.clock()))

    world.source.on_page = look
    run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    look()
    return seen


def totals(seen: list[RunView]) -> list[int | None]:
    return [view.progress.total for view in seen[1:-1]]


def test_what_was_never_read_has_no_total(world: World) -> None:
    assert totals(watched(world, Strategy.CATALOG)) == [None, None, None]


@pytest.mark.parametrize("strategy", [Strategy.CATALOG, Strategy.ACTIVE])
def test_a_run_has_as_many_records_as_the_last_one_of_its_kind(world: World, strategy: Strategy) -> None:
    watched(world, strategy)
    assert totals(watched(world, strategy)) == [40, 40, 40]


def test_a_whole_read_after_other_reads_has_as_many_records_as_are_stored(world: World) -> None:
    watched(world, Strategy.ACTIVE)
    assert totals(watched(world, Strategy.CATALOG)) == [40, 40, 40]


def test_a_read_that_was_held_is_no_measure(world: World) -> None:
    watched(world, Strategy.CATALOG)
    kept, world.source.listings = world.source.listings, {"P00": world.source.listings["P00"]}
    watched(world, Strategy.CATALOG)
    world.source.listings = kept
    assert totals(watched(world, Strategy.CATALOG)) == [40, 40, 40]


def test_the_legs_to_come_are_in_the_total(world: World) -> None:
    watched(world, Strategy.FULL)
    assert set(totals(watched(world, Strategy.FULL))) == {60}


def test_a_total_grows_with_what_comes_beyond_it(world: World) -> None:
    watched(world, Strategy.CATALOG)
    world.source.put(*(listing(f"Q{number:02}", 12_000_000) for number in range(20)))
    assert totals(watched(world, Strategy.CATALOG)) == [40, 40, 40, 40, 50]


def test_a_completed_run_had_as_many_records_as_it_read(world: World) -> None:
    watched(world, Strategy.CATALOG)
    del world.source.listings["P01"]
    ended = watched(world, Strategy.CATALOG)[-1].progress
    assert (ended.total, ended.processed) == (39, 39)


def test_a_run_whose_total_is_guessed_says_how_long_it_will_take(world: World) -> None:
    watched(world, Strategy.CATALOG)
    assert watched(world, Strategy.CATALOG)[3].progress.eta is not None


def test_a_limit_is_the_most_that_a_total_says(world: World) -> None:
    watched(world, Strategy.ACTIVE, limit=25)
    assert totals(watched(world, Strategy.ACTIVE, limit=25)) == [25, 25]


def test_a_dry_run_has_as_many_records_as_the_real_one_had(world: World) -> None:
    watched(world, Strategy.ACTIVE)
    assert totals(watched(world, Strategy.ACTIVE, dry_run=True)) == [40, 40, 40]
