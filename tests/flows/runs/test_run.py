"""A bulk run: what it writes, how it stops, and that resuming it ends where an undisturbed run would."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from app.domain import Answer, Cause, Change, ItemKey, Kind, Options, Page, Ref, Scope, Strategy
from app.errors import Busy, Refused, Unavailable, Unmappable
from app.flows.items.leases import LeaseKeeper
from app.flows.runs.request_run import STUCK_AFTER, cancel_run, check_stuck, request_run, resume_run
from app.flows.runs.run import MOST_SILENCES, run
from app.flows.runs.runs_view import run_view
from app.rules.runs.checkpoint import Checkpoint
from app.stores import owed
from app.stores.runs import drift, failed_items, run_pages, runs
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, count, listing
from tests.rows import row_of
from tests.stores.racing import at_once

PRODUCT, STOCK = Kind.PRODUCT, Kind.STOCK
PAGE = 10


class Killed(BaseException):
    """The process is gone: no handler of ours may see it."""


@pytest.fixture
def world(database: Database) -> World:
    return World(database, FakeSource(page_size=PAGE))


def open_run(world: World, strategy: Strategy = Strategy.CATALOG, **options: Any) -> int:
    return request_run(world.deps, SHOP, strategy, Options(**options), cause="person")


def carry_out(world: World, run_id: int) -> Run:
    run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    return stored_run(world, run_id)


def stored_run(world: World, run_id: int) -> Run:
    with world.database.read() as conn:
        row = runs.get(conn, run_id)
    assert row is not None
    return row


def fill(world: World, products: int) -> None:
    world.source.put(*(listing(f"P{number:03d}") for number in range(products)))


def rows(world: World, kind: Kind = PRODUCT) -> dict[str, Any]:
    """What we hold, without the times that differ between two runs."""
    table = {PRODUCT: "listings", STOCK: "stock"}[kind]
    with world.database.read() as conn:
        held = conn.exec_driver_sql(f"SELECT * FROM {table}").mappings()
        return {
            str(row.get("external_id") or row["listing_id"]): {
                name: value for name, value in row.items() if name not in ("read_at", "written_at")
            }
            for row in held
        }


def reads(world: World) -> int:
    return sum(1 for request in world.source.requests if request[0].startswith(("full", "window", "delta")))


def die_at(world: World, page: int) -> None:
    """The process is killed when it has this many pages behind it."""
    source, full = world.source, type(world.source).full

    def dying(kind: Kind, resume: str | None = None) -> Iterator[Page]:
        for number, one in enumerate(full(source, kind, resume)):
            if number == page:
                raise Killed
            yield one

    source.full = dying  # type: ignore[method-assign]


def recover(world: World) -> None:
    del world.source.full
    world.clock.pass_(60)


# --- what a run does ---


def test_a_run_ends_completed_with_its_rows_counted(world: World) -> None:
    fill(world, 25)
    ended = carry_out(world, open_run(world))
    assert (ended.status, ended.progress.processed, ended.counts["product"].created) == (
        "completed",
        25,
        25,
    )
    assert len(rows(world)) == 25


def test_inventory_reads_stock_only(world: World) -> None:
    world.source.put(listing("A"), count("A", 3))
    carry_out(world, open_run(world, Strategy.INVENTORY))
    assert (len(rows(world)), len(rows(world, STOCK))) == (0, 1)


def test_active_leaves_out_what_is_not_for_sale(world: World) -> None:
    world.source.put(listing("A", version=10_000_000), listing("B", version=10_000_000, active=False))
    carry_out(world, open_run(world, Strategy.ACTIVE))
    assert list(rows(world)) == ["A"]


def test_a_limit_ends_the_run_after_so_many_records(world: World) -> None:
    fill(world, 25)
    carry_out(world, open_run(world, limit=7))
    assert len(rows(world)) == 7


def test_a_category_is_read_item_by_item(world: World) -> None:
    world.source.put(listing("A", category="Bowls"), listing("B", category="Cups"))
    carry_out(world, open_run(world))
    world.source.put(listing("A", 2, category="Bowls", name="new"), listing("B", 2, category="Cups", name="new"))
    carry_out(world, open_run(world, Strategy.CATEGORY, category="Bowls"))
    assert {id: row["name"] for id, row in rows(world).items()} == {"A": "new", "B": "Product B"}


def test_a_category_run_must_say_which(world: World) -> None:
    with pytest.raises(Refused, match='needs "category"'):
        open_run(world, Strategy.CATEGORY)


def test_a_strategy_the_source_has_nothing_for_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="vendors"):
        open_run(world, Strategy.VENDORS)


def test_incremental_moves_the_watermark(world: World) -> None:
    fill(world, 3)
    carry_out(world, open_run(world, Strategy.FULL))
    world.source.put(listing("P001", 50, name="new"))
    carry_out(world, open_run(world, Strategy.INCREMENTAL))
    assert rows(world)["P001"]["name"] == "new"
    assert world.source.requests[-1][0].startswith(("delta", "full"))


def test_smart_says_why(world: World) -> None:
    fill(world, 3)
    ended = carry_out(world, open_run(world, Strategy.SMART))
    view = run_view(ended, world.clock())
    assert view.chosen is not None
    assert view.chosen in str(view.reason)
    assert "calls" in str(view.reason)


# --- dry runs ---


STRATEGIES = [Strategy.CATALOG, Strategy.FULL, Strategy.INVENTORY, Strategy.INCREMENTAL, Strategy.ACTIVE]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_dry_run_writes_nothing_and_shows_what_the_real_one_writes(world: World, strategy: Strategy) -> None:
    world.source.put(*(listing(f"P{number}", 10_000_000) for number in range(4)), count("P1", 5))
    carry_out(world, open_run(world, Strategy.FULL))
    world.source.put(listing("P1", 10_000_001, name="new"), listing("P9", 10_000_002), count("P1", 7, 2))
    world.clock.pass_(10)
    before = rows(world), rows(world, STOCK)
    dry = open_run(world, strategy, dry_run=True)
    carry_out(world, dry)
    assert (rows(world), rows(world, STOCK)) == before
    world.clock.pass_(10)
    carry_out(world, open_run(world, strategy))
    assert drift_items(world, dry) == changed(before[0], rows(world)) | changed(before[1], rows(world, STOCK))


def drift_items(world: World, run_id: int) -> set[tuple[str, str]]:
    with world.database.read() as conn:
        return {(row.item.split("/")[0], row.change) for row in drift.of_run(conn, run_id, 1000)}


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[tuple[str, str]]:
    def content(row: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in row.items() if name not in ("version", "modified_at")}

    new = {(id, "missing") for id in after.keys() - before.keys()}
    return new | {(id, "differs") for id in after.keys() & before.keys() if content(after[id]) != content(before[id])}


def test_a_dry_run_settles_nothing_that_is_owed(world: World) -> None:
    fill(world, 3)
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(PRODUCT, "*")], Cause.POLL, world.clock())
    carry_out(world, open_run(world, dry_run=True))
    with world.database.read() as conn:
        assert owed.count(conn) == 1


# --- one at a time ---


def test_of_twenty_simultaneous_starts_one_wins(world: World) -> None:
    def start(number: int) -> int | None:
        try:
            return open_run(world)
        except Busy:
            return None

    assert len([won for won in at_once(20, start) if won is not None]) == 1


def test_who_comes_second_is_told_which_run_is_active(world: World) -> None:
    first = open_run(world)
    with pytest.raises(Busy, match=f"run {first} ") as busy:
        open_run(world, Strategy.INVENTORY)
    assert busy.value.run_id == first


def test_of_two_that_resume_different_runs_one_wins(world: World) -> None:
    ids = []
    for _ in range(2):
        ids.append(open_run(world))
        cancel_run(world.deps, SHOP, ids[-1])

    def resume(number: int) -> bool:
        try:
            resume_run(world.deps, SHOP, ids[number])
        except Refused:
            return False
        return True

    assert sorted(at_once(2, resume)) == [False, True]


# --- cancelled, killed, resumed ---


@pytest.mark.parametrize("page", range(6))
def test_a_killed_run_ends_where_an_undisturbed_one_would_and_reads_one_page_again(world: World, page: int) -> None:
    fill(world, 45)
    run_id = open_run(world)
    die_at(world, page)
    with pytest.raises(Killed):
        run(world.deps, LeaseKeeper(world.database), run_id)
    recover(world)
    pages_before = len(world.source.pages_read)
    ended = carry_out(world, run_id)
    assert (ended.status, len(rows(world))) == ("completed", 45)
    assert len(world.source.pages_read) - pages_before <= 5 - page + 1


def test_what_was_deleted_is_found_though_the_run_was_killed(world: World) -> None:
    fill(world, 45)
    carry_out(world, open_run(world))
    del world.source.listings["P044"], world.source.listings["P002"]
    world.clock.pass_(10)
    run_id = open_run(world)
    die_at(world, 3)
    with pytest.raises(Killed):
        run(world.deps, LeaseKeeper(world.database), run_id)
    recover(world)
    carry_out(world, run_id)
    assert [id for id, row in sorted(rows(world).items()) if row["deleted"]] == ["P002", "P044"]


def test_a_cancelled_run_stops_within_a_page(world: World) -> None:
    fill(world, 45)
    run_id = open_run(world)
    world.source.on_page = lambda number: cancel_run(world.deps, SHOP, run_id) if number == 2 else None
    ended = carry_out(world, run_id)
    assert ended.status == "cancelled"
    assert len(world.source.pages_read) <= 4


def test_a_cancelled_run_can_be_resumed_to_the_same_end(world: World) -> None:
    fill(world, 45)
    run_id = open_run(world)
    world.source.on_page = lambda number: cancel_run(world.deps, SHOP, run_id) if number == 2 else None
    carry_out(world, run_id)
    world.source.on_page = lambda number: None
    resume_run(world.deps, SHOP, run_id)
    assert carry_out(world, run_id).status == "completed"
    assert len(rows(world)) == 45


def test_a_cancelled_run_leaves_nothing_half_written(world: World) -> None:
    fill(world, 45)
    run_id = open_run(world)
    world.source.on_page = lambda number: cancel_run(world.deps, SHOP, run_id) if number == 2 else None
    carry_out(world, run_id)
    assert rows(world) == {}


def test_a_run_that_is_over_cannot_be_resumed(world: World) -> None:
    run_id = open_run(world)
    carry_out(world, run_id)
    with pytest.raises(Refused, match="completed"):
        resume_run(world.deps, SHOP, run_id)


def test_a_finished_run_keeps_no_pages(world: World) -> None:
    fill(world, 45)
    run_id = open_run(world)
    carry_out(world, run_id)
    with world.database.read() as conn:
        assert list(run_pages.of(conn, run_id, PRODUCT, 100)) == []


def test_a_run_whose_worker_is_gone_is_failed_after_two_minutes(world: World) -> None:
    run_id = open_run(world)
    with world.database.begin() as conn:
        runs.start(conn, run_id, "gone", 15, world.clock())
    world.clock.pass_(15 + STUCK_AFTER - 1)
    assert check_stuck(world.deps) == []
    world.clock.pass_(2)
    assert check_stuck(world.deps) == [run_id]
    assert stored_run(world, run_id).status == "failed"


def test_the_successor_of_a_stuck_run_goes_on_where_that_one_stopped(world: World) -> None:
    fill(world, 45)
    run_id = open_run(world)
    die_at(world, 3)
    with pytest.raises(Killed):
        run(world.deps, LeaseKeeper(world.database), run_id)
    recover(world)
    world.clock.pass_(STUCK_AFTER + 60)
    check_stuck(world.deps)
    pages_before = len(world.source.pages_read)
    assert carry_out(world, open_run(world)).status == "completed"
    assert len(rows(world)) == 45
    assert len(world.source.pages_read) - pages_before <= 5 - 3 + 1


def test_a_run_with_other_options_inherits_nothing(world: World) -> None:
    fill(world, 45)
    run_id = open_run(world)
    with world.database.begin() as conn:
        runs.start(conn, run_id, "gone", 15, world.clock())
    world.clock.pass_(STUCK_AFTER + 60)
    check_stuck(world.deps)
    assert stored_run(world, open_run(world, force=True)).checkpoint == Checkpoint()


def test_a_run_that_is_over_reads_nothing_any_more(world: World) -> None:
    fill(world, 25)
    assert run_view(carry_out(world, open_run(world)), world.clock()).progress.batch is None


def test_a_dry_run_names_its_price(world: World) -> None:
    fill(world, 25)
    view = run_view(carry_out(world, open_run(world, dry_run=True)), world.clock())
    assert (view.price and view.price.calls, view.calls > 0) == (view.calls, True)


# --- failures ---


def test_a_failure_that_passes_costs_no_run(world: World) -> None:
    fill(world, 25)
    world.source.failures.extend([Unavailable("down"), Unavailable("down")])
    assert carry_out(world, open_run(world)).status == "completed"


def test_at_the_third_failure_in_a_row_a_run_waits_for_its_vendor(world: World) -> None:
    world.source.failures.extend([Unavailable("down")] * 3)
    run_id = open_run(world)
    assert carry_out(world, run_id).status == "idle"
    world.clock.pass_(6)
    assert carry_out(world, run_id).status == "completed"


def test_a_run_whose_only_kind_is_never_answered_though_the_account_is_fails_without_a_letter(world: World) -> None:
    world.source.refuses[Kind.PRODUCT] = Unavailable("500 from its list")
    run_id = open_run(world)
    for _ in range(MOST_SILENCES):
        assert carry_out(world, run_id).status == "idle"
    ended = carry_out(world, run_id)
    assert ended.status == "failed"
    assert "has not answered for product" in str(ended.error)
    assert "500 from its list" in str(ended.error)


def test_a_run_that_gets_on_between_silences_never_gives_up(world: World) -> None:
    fill(world, 15 * PAGE)
    silent = iter([page for page in range(1, 15) for _ in range(3)])
    next_one = [next(silent)]

    def hang(number: int) -> None:
        if number == next_one[0]:
            next_one[0] = next(silent, -1)
            raise Unavailable("500 from its list")

    world.source.on_page = hang
    run_id, lives = open_run(world), 0
    while carry_out(world, run_id).status == "idle":
        world.clock.pass_(400)
        lives += 1
    assert (lives > MOST_SILENCES, stored_run(world, run_id).status, len(rows(world))) == (
        True,
        "completed",
        15 * PAGE,
    )


def poisoned(world: World, bad: Sequence[str]) -> int:
    world.source.put(*(listing(f"P{number}", category="Bowls") for number in range(6)))
    carry_out(world, open_run(world))
    world.source.poison.update({id: Unmappable(f"{id} has no name") for id in bad})
    return open_run(world, Strategy.CATEGORY, category="Bowls")


def test_an_item_that_fails_alone_does_not_fail_the_run(world: World) -> None:
    ended = carry_out(world, poisoned(world, ["P2", "P4"]))
    counts = ended.counts["product"]
    assert (ended.status, counts.failed, counts.unchanged) == ("completed", 2, 4)


def failing(world: World) -> list[failed_items.FailedItem]:
    with world.database.read() as conn:
        return [item for item in failed_items.page(conn, SHOP) if item.kind == PRODUCT]


def test_a_failed_item_shows_why_and_where(world: World) -> None:
    carry_out(world, poisoned(world, ["P2"]))
    (item,) = failing(world)
    assert (item.external_id, item.category, item.error, item.attempts) == (
        "P2",
        "mapping",
        "P2 has no name",
        1,
    )
    assert "in fetch" in item.traceback


def test_retry_reads_the_failed_items_and_nothing_else(world: World) -> None:
    carry_out(world, poisoned(world, ["P2", "P4"]))
    world.source.poison.clear()
    world.source.requests.clear()
    carry_out(world, open_run(world, Strategy.RETRY))
    assert world.source.requests == [("P2",), ("P4",)] * 2  # as products and as stock
    assert failing(world) == []


def test_an_item_that_fails_again_counts_its_attempts(world: World) -> None:
    carry_out(world, poisoned(world, ["P2"]))
    carry_out(world, open_run(world, Strategy.RETRY))
    assert [item.attempts for item in failing(world)] == [2]


# --- deep and forced ---


def test_a_deep_run_deletes_only_what_the_source_confirms(world: World) -> None:
    fill(world, 30)
    carry_out(world, open_run(world, Strategy.FULL))
    hidden = world.source.listings.pop("P003")
    world.source.listings.pop("P004")
    put_back: Callable[[], None] = lambda: world.source.put(hidden)  # noqa: E731
    world.source.on_page = lambda number: put_back() if number == 2 else None
    world.clock.pass_(10)
    carry_out(world, open_run(world, Strategy.FULL, deep=True))
    assert [id for id, row in sorted(rows(world).items()) if row["deleted"]] == ["P004"]


def test_a_deletion_that_is_never_answered_keeps_no_deep_run_from_ending(world: World) -> None:
    fill(world, 30)
    carry_out(world, open_run(world, Strategy.FULL))
    world.source.listings.pop("P003")
    world.source.listings.pop("P004")
    world.source.poison["P003"] = Unavailable("504 no answer")
    world.clock.pass_(10)
    ended = carry_out(world, open_run(world, Strategy.FULL, deep=True))
    gone = [id for id, row in sorted(rows(world).items()) if row["deleted"]]
    assert (ended.status, gone) == ("completed", ["P004"])


class WholeItems(FakeSource):
    """A shop whose items have one listing each; an answer about a listing that is gone shows all of its item."""

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        answer = super().fetch(refs)
        covers = [Scope(PRODUCT, "parent_id", f"I-{ref.external_id}") for ref in answer.gone]
        return Answer(answer.records, not_yet=answer.not_yet, covers=covers)


def test_a_deep_run_deletes_what_its_whole_item_does_not_show_and_keeps_what_nothing_shows(
    database: Database,
) -> None:
    world = World(database, WholeItems(page_size=PAGE))
    world.source.put(*(listing(f"P{number:03d}", parent_id=f"I-P{number:03d}") for number in range(30)))
    carry_out(world, open_run(world, Strategy.FULL))
    world.source.listings.pop("P003")
    world.source.listings.pop("P004")
    world.source.not_yet.add("P004")
    world.clock.pass_(10)
    carry_out(world, open_run(world, Strategy.FULL, deep=True))
    assert [id for id, row in sorted(rows(world).items()) if row["deleted"]] == ["P003"]


def test_a_forced_run_writes_what_the_guard_would_hold(world: World) -> None:
    fill(world, 60)
    carry_out(world, open_run(world, Strategy.FULL))
    for number in range(40):
        del world.source.listings[f"P{number:03d}"]
    world.clock.pass_(10)
    carry_out(world, open_run(world, Strategy.FULL))
    assert not any(row["deleted"] for row in rows(world).values())
    world.clock.pass_(10)
    carry_out(world, open_run(world, Strategy.FULL, force=True))
    assert sum(row["deleted"] for row in rows(world).values()) == 40


def test_a_gone_item_named_in_a_category_becomes_a_tombstone(world: World) -> None:
    run_id = poisoned(world, [])
    del world.source.listings["P3"]
    world.clock.pass_(10)
    carry_out(world, run_id)
    with world.database.read() as conn:
        row = row_of(conn, SHOP, PRODUCT, ("P3",))
    assert row is not None
    assert row["deleted"]
    assert Ref(PRODUCT, "P3") not in [Ref(Kind(item.kind), item.external_id) for item in failing(world)]


def test_an_item_of_a_category_that_the_source_does_not_show_is_owed(world: World) -> None:
    run_id = poisoned(world, [])
    world.source.not_yet.add("P3")
    ended = carry_out(world, run_id)
    with world.database.read() as conn:
        assert owed.is_owed(conn, ItemKey(SHOP, PRODUCT, "P3"))
    assert (rows(world)["P3"]["deleted"], ended.counts["product"].owed) == (0, 1)
