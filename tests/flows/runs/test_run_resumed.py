"""A run that a deploy stopped while it was writing counts each row once when it goes on."""

from typing import Any

import pytest
from sqlalchemy import Connection, event

from app.domain import Kind, Listing, Options, Strategy
from app.flows.items.leases import LEASE, LeaseKeeper
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.stores.catalog import bulk
from app.stores.runs import runs
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, listing
from tests.refusing import refusing

SIZE = 1200
NEWLY = 12_000_000
"""Seconds after the shop opened: less than a year before the world's clock."""


class Stopping(LeaseKeeper):
    """Of a process that is to stop as soon as one batch of what was read is behind it."""

    looks = 0
    after = SIZE // 100 + 1  # after each page, and after the first batch

    @property
    def stopping(self) -> bool:
        self.looks += 1
        return self.looks > self.after


@pytest.fixture
def world(database: Database) -> World:
    """A shop of which a third of the products have lost their names, and the others got new prices."""
    world = World(database, FakeSource(page_size=100))
    world.source.kinds = (Kind.PRODUCT,)
    world.source.put(*(listing(f"P{number:04}", NEWLY, price_minor=1000) for number in range(SIZE)))
    run_strategy(world, Strategy.FULL)
    for number in range(SIZE):
        changed = {"price_minor": 1000, "name": None} if number % 3 == 0 else {"price_minor": 1100}
        world.source.put(listing(f"P{number:04}", NEWLY + 5, **changed))
    return world


def run_strategy(world: World, strategy: Strategy, keeper: LeaseKeeper | None = None, **options: Any) -> Run:
    world.clock.pass_(3600)
    run_id = request_run(world.deps, SHOP, strategy, Options(**options), cause="person")
    return go_on(world, run_id, keeper)


def go_on(world: World, run_id: int, keeper: LeaseKeeper | None = None) -> Run:
    run(world.deps, keeper or LeaseKeeper(world.database), run_id, patience=0.0)
    with world.database.read() as conn:
        row = runs.get(conn, run_id)
    assert row is not None
    return row


@pytest.mark.parametrize("dry", [True, False])
def test_a_run_that_goes_on_while_it_writes_counts_each_row_once(world: World, dry: bool) -> None:
    stopped = run_strategy(world, Strategy.ACTIVE, Stopping(world.database), dry_run=dry)
    assert stopped.status == "idle"
    ended = go_on(world, stopped.id)
    assert ended.status == "completed"
    counts = ("processed", "updated", "unchanged", "held")
    assert [getattr(ended.progress, name) for name in counts] == [1200, 800, 0, 400]


def test_a_full_run_that_goes_on_counts_what_it_wrote_before(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bulk.ROWS_PER_COMMIT, world.database.dialect, 300)
    keeper = Stopping(world.database)
    keeper.after = 2 * (SIZE // 100 + 2) + 1  # the guard has the list read twice; then the first batch is written
    stopped = run_strategy(world, Strategy.FULL, keeper)
    assert (stopped.status, repriced(world.database)) == ("idle", 300)
    ended = go_on(world, stopped.id)
    assert (ended.status, ended.progress.updated, repriced(world.database)) == ("completed", 800, 800)


class Killed(BaseException):
    """The process is gone: no handler of ours may see it."""


class Mortal:
    """A process that can be made to die in the commit after the next few."""

    def __init__(self, database: Database) -> None:
        self.left = 10_000
        event.listen(database.engine, "commit", self._commit)

    def _commit(self, connection: Connection) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


@pytest.fixture
def mortal(database: Database) -> Mortal:
    return Mortal(database)


@pytest.mark.parametrize("dry", [True, False])
@pytest.mark.parametrize("strategy", [Strategy.FULL, Strategy.ACTIVE, Strategy.CATEGORY])
def test_a_run_that_dies_between_any_two_commits_counts_each_change_once(
    database: Database, mortal: Mortal, strategy: Strategy, dry: bool
) -> None:
    world = thirty(database)
    for saves in range(1, 100):
        world.source.put(*(product(number, saves) for number in range(2)))
        ended = resumed(world, mortal, saves, strategy, dry_run=dry)
        if ended is None:
            return
        assert counted(ended, saves) == (saves, "completed", 30, 2, 28, 0)
    raise AssertionError("it never got through alive")


@pytest.mark.parametrize("strategy", [Strategy.FULL, Strategy.ACTIVE, Strategy.CATEGORY])
def test_a_run_that_dies_beside_a_record_that_cannot_be_written_counts_each_change_once(
    database: Database, mortal: Mortal, strategy: Strategy
) -> None:
    world = thirty(database)
    with refusing(database, "UPDATE", "listings", "NEW.external_id = 'P02' AND NEW.name <> OLD.name"):
        for saves in range(1, 100):
            world.source.put(*(product(number, saves) for number in range(3)))
            ended = resumed(world, mortal, saves, strategy)
            if ended is None:
                return
            assert counted(ended, saves) == (saves, "completed", 30, 2, 27, 1)
    raise AssertionError("it never got through alive")


def thirty(database: Database) -> World:
    """A shop of thirty products, read once."""
    world = World(database, FakeSource(page_size=10, batch=10))
    world.source.kinds = (Kind.PRODUCT,)
    world.source.put(*(product(number, 0) for number in range(30)))
    run_strategy(world, Strategy.FULL)
    return world


def product(number: int, change: int) -> Listing:
    return listing(f"P{number:02}", NEWLY + change, name=f"{change}", category="Bowls")


def counted(ended: Run, saves: int) -> tuple[object, ...]:
    told = ended.progress
    return (saves, ended.status, told.processed, told.updated, told.unchanged, told.failed)


def resumed(world: World, mortal: Mortal, saves: int, strategy: Strategy, **options: Any) -> Run | None:
    """A run that died after so many commits and was resumed; ``None`` if it got through alive."""
    died = died_in(
        world, mortal, saves, strategy, category="Bowls" if strategy is Strategy.CATEGORY else None, **options
    )
    if died is None:
        return None
    world.clock.pass_(LEASE + 1)
    return go_on(world, died)


def died_in(world: World, mortal: Mortal, commits: int, strategy: Strategy, **options: Any) -> int | None:
    """The id of the run if the process died in it, after so many commits."""
    world.clock.pass_(3600)
    run_id = request_run(world.deps, SHOP, strategy, Options(**options), cause="person")
    mortal.left = commits
    try:
        run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    except Killed:
        return run_id
    finally:
        mortal.left = 10_000
    return None


def repriced(database: Database) -> int:
    """How many of the new prices are written."""
    with database.read() as conn:
        rows = conn.exec_driver_sql("SELECT count(*) FROM listings WHERE price_minor = 1100")
        return int(rows.scalar() or 0)
