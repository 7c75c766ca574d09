"""What a dry run says of rows that a real run would not write: held by the guard, confirmed to live, beyond the limit."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import to_builtins

from app.domain import Change, Kind, Options, Page, Strategy, key_of
from app.errors import Unmappable
from app.flows.items.leases import LeaseKeeper
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.stores import owed
from app.stores.guard import held_rows, holds
from app.stores.runs import drift, runs
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from tests.fakes import EPOCH, SHOP, FakeSource, World, count, listing

SIZE = 60


@pytest.fixture
def world(database: Database) -> World:
    """A shop of 60 products with a count each, read once."""
    world = World(database, FakeSource(page_size=20))
    world.source.put(*(listing(f"P{number:02}") for number in range(SIZE)))
    world.source.put(*(count(f"P{number:02}", 5) for number in range(SIZE)))
    run_strategy(world, Strategy.FULL)
    return world


def run_strategy(world: World, strategy: Strategy, **options: Any) -> Run:
    world.clock.pass_(3600)
    run_id = request_run(world.deps, SHOP, strategy, Options(**options), cause="person")
    run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    with world.database.read() as conn:
        ended = runs.get(conn, run_id)
    assert ended is not None
    return ended


def drift_items(world: World, run: Run, cause: str) -> set[tuple[str, str]]:
    with world.database.read() as conn:
        return {(row.kind, row.item) for row in drift.of_run(conn, run.id, 1000) if row.cause == cause}


def held(world: World) -> set[tuple[str, str]]:
    with world.database.read() as conn:
        return {
            (hold.kind, "/".join(row.key))
            for hold in holds.open_(conn)
            for row in held_rows.page(conn, hold.id, Kind(hold.kind), limit=1000)
        }


def lose(world: World, products: int) -> None:
    """So many products are not shown any more, one other is new."""
    for number in range(products):
        del world.source.listings[f"P{number:02}"]
        del world.source.counts[f"P{number:02}"]
    world.source.put(listing("NEW", 20), count("NEW", 5, 20))


def test_a_dry_run_shows_what_the_guard_would_hold_as_held(world: World) -> None:
    lose(world, 40)
    dry = run_strategy(world, Strategy.FULL, dry_run=True)
    run_strategy(world, Strategy.FULL)
    assert drift_items(world, dry, "held") == held(world) != set()


def test_a_dry_run_shows_beside_a_held_batch_what_would_be_written_all_the_same(world: World) -> None:
    lose(world, 40)
    dry = run_strategy(world, Strategy.CATALOG, dry_run=True)
    assert drift_items(world, dry, "dry_run") == {("product", "NEW")}


@pytest.mark.parametrize("strategy", [Strategy.FULL, Strategy.CATALOG, Strategy.INVENTORY])
def test_a_dry_run_counts_a_held_batch_as_the_real_one_does(world: World, strategy: Strategy) -> None:
    lose(world, 40)
    counts = [counted(run_strategy(world, strategy, dry_run=dry)) for dry in (True, False)]
    assert counts[0] == counts[1]


def counted(run: Run) -> dict[str, Any]:
    """Agreement apart, which a dry run tells as it is and a real one as it is after the write."""
    shares = ("agreement", "agreement_unknown")
    return {
        kind: {name: n for name, n in of.items() if name not in shares}
        for kind, of in to_builtins(run.counts).items()
    }


def test_a_dry_run_pays_for_the_second_look_at_what_is_implausible(world: World) -> None:
    lose(world, 40)
    calls = [run_strategy(world, Strategy.CATALOG, dry_run=dry).calls for dry in (True, False)]
    assert calls[0] == calls[1]


def test_a_dry_run_opens_no_hold(world: World) -> None:
    lose(world, 40)
    run_strategy(world, Strategy.FULL, dry_run=True)
    assert held(world) == set()


def test_a_dry_run_that_is_forced_shows_what_would_be_written(world: World) -> None:
    lose(world, 40)
    dry = run_strategy(world, Strategy.CATALOG, dry_run=True, force=True)
    assert (len(drift_items(world, dry, "dry_run")), drift_items(world, dry, "held")) == (41, set())


def test_a_dry_run_shows_no_deletion_that_a_deep_run_would_not_confirm(world: World) -> None:
    hidden = world.source.listings.pop("P03")
    world.source.listings.pop("P04")
    world.source.on_page = lambda number: world.source.put(hidden) if number == 2 else None
    dry = run_strategy(world, Strategy.FULL, dry_run=True, deep=True)
    assert drift_items(world, dry, "dry_run") == {("product", "P04")}


def test_rows_that_a_dry_run_shows_as_held_are_nothing_that_was_missed(world: World) -> None:
    lose(world, 40)
    run_strategy(world, Strategy.FULL, dry_run=True)
    with world.database.read() as conn:
        assert drift.missed(conn, SHOP, world.clock() - timedelta(days=1)) == {}


# --- items that pages only name ---


class Naming(FakeSource):
    """A vendor whose windows only name what changed."""

    def window(
        self, kind: Kind, since: datetime | None, until: datetime | None, resume: str | None = None
    ) -> Iterator[Page]:
        for page in super().window(kind, since, until, resume):
            changes = [Change(kind, key_of(record)[0], record.version) for record in page.records]
            yield msgspec.structs.replace(page, records=(), changes=changes)


@pytest.fixture
def naming(database: Database) -> World:
    world = World(database, Naming(page_size=20))
    world.source.put(*(listing(f"P{number:02}", NEWLY + number) for number in range(50)))
    return world


NEWLY = 12_000_000
"""Seconds after the shop opened: less than a year before the world's clock."""


def test_a_dry_run_fetches_what_its_pages_name(naming: World) -> None:
    dry = run_strategy(naming, Strategy.ACTIVE, dry_run=True)
    assert drift_items(naming, dry, "dry_run") == {("product", f"P{number:02}") for number in range(50)}


def test_a_dry_run_fetches_what_a_page_names_whatever_the_page_before_has_named(naming: World) -> None:
    naming.source.listings = dict(reversed(naming.source.listings.items()))
    dry = run_strategy(naming, Strategy.ACTIVE, dry_run=True)
    assert drift_items(naming, dry, "dry_run") == {("product", f"P{number:02}") for number in range(50)}


@pytest.mark.parametrize("dry", [True, False])
def test_a_limit_counts_what_is_only_named(naming: World, dry: bool) -> None:
    ended = run_strategy(naming, Strategy.ACTIVE, dry_run=dry, limit=25)
    assert (ended.progress.processed, ended.counts["product"].owed) == (25, 25)


def test_a_dry_run_owes_nothing(naming: World) -> None:
    run_strategy(naming, Strategy.ACTIVE, dry_run=True)
    with naming.database.read() as conn:
        assert owed.count(conn) == 0


def test_a_named_item_that_fails_alone_is_a_failure_of_the_dry_run(naming: World) -> None:
    naming.source.poison["P03"] = Unmappable("a bad record")
    ended = run_strategy(naming, Strategy.ACTIVE, dry_run=True)
    assert (ended.progress.processed, ended.progress.failed) == (50, 1)


# --- what is judged after something else of the same run ---

READS: list[tuple[Strategy, dict[str, Any]]] = [
    (Strategy.FULL, {}),
    (Strategy.FULL, {"modified_since": EPOCH}),
    (Strategy.FULL, {"limit": 1000}),
    (Strategy.INCREMENTAL, {}),
    (Strategy.CATEGORY, {"category": "Bowls"}),
]


@pytest.mark.parametrize(("strategy", "options"), READS, ids=str)
def test_a_dry_run_judges_stock_as_if_the_end_of_its_products_had_been_written(
    bowls: World, strategy: Strategy, options: dict[str, Any]
) -> None:
    ending = [f"P{number:02}" for number in range(11)]
    bowls.source.put(*(listing(id, NEWLY, deleted=True) for id in ending), *(count(id, 0, NEWLY) for id in ending))
    dry = run_strategy(bowls, strategy, dry_run=True, **options)
    real = run_strategy(bowls, strategy, **options)
    assert (drift_items(bowls, dry, "held"), counted(dry)) == (held(bowls), counted(real))


@pytest.mark.parametrize(("strategy", "options"), READS, ids=str)
def test_a_dry_run_holds_the_stock_of_products_that_look_like_those_of_another_account(
    bowls: World, strategy: Strategy, options: dict[str, Any]
) -> None:
    for number in range(SIZE):
        other = {"sku": f"ZZ{number * 13}", "name": f"Other {number * 7}", "category": "Bowls"}
        bowls.source.put(listing(f"P{number:02}", NEWLY, **other), count(f"P{number:02}", 7 + number % 7, NEWLY))
    dry = run_strategy(bowls, strategy, dry_run=True, **options)
    real = run_strategy(bowls, strategy, **options)
    assert (drift_items(bowls, dry, "held"), counted(dry)) == (held(bowls), counted(real))


@pytest.fixture
def bowls(database: Database) -> World:
    """A shop of 60 bowls, of which the first eleven lie on larger heaps, read once."""
    world = World(database, FakeSource(batch=SIZE, page_size=20))
    world.source.put(*(listing(f"P{number:02}", category="Bowls") for number in range(SIZE)))
    world.source.put(*(count(f"P{number:02}", 30 if number < 11 else 5) for number in range(SIZE)))
    run_strategy(world, Strategy.FULL)
    return world
