"""A hold keeps the batch itself: what is shown is what is released, and nothing but a person or a later read ends it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from app.domain import ALL_ITEMS, Cause, Change, ItemKey, Kind, Options, Page, Scope, Strategy
from app.errors import Refused
from app.flows.holds import holds
from app.flows.holds.holds import HoldView, SampleRow
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.stores import catalog, owed
from app.stores.guard import holds as stored
from app.stores.guard import usual
from app.stores.runs import runs
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from tests.fakes import EPOCH, SHOP, FakeSource, World, count, listing

SIZE = 24


class ShortSource(FakeSource):
    """Its lists leave out what is ``hidden``, though it is there."""

    hidden: frozenset[str] = frozenset()

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        if kind is Kind.PRODUCT:
            yield Page(records=[one for one in self.listings.values() if one.external_id not in self.hidden])
            yield Page(watermark="1000000", complete=Scope(kind))
        else:
            yield from super().full(kind, resume)


@pytest.fixture
def world(database: Database) -> World:
    """A shop of 24 products at 10.00 with 24 counts of 5 each, read once."""
    world = World(database, ShortSource())
    world.source.put(*(listing(f"P{number:02}", price_minor=1_000) for number in range(SIZE)))
    world.source.put(*(count(f"P{number:02}", 5) for number in range(SIZE)))
    read_all(world)
    return world


def read_all(world: World) -> None:
    world.clock.pass_(86_400)
    run_id = request_run(world.deps, SHOP, Strategy.FULL, Options(), cause="schedule")
    run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)


def run_strategy(world: World, strategy: Strategy, **options: Any) -> Run:
    """Carry out a run; returns its row."""
    world.clock.pass_(600)
    run_id = request_run(world.deps, SHOP, strategy, Options(**options), cause="person")
    run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    with world.database.read() as conn:
        ended = runs.get(conn, run_id)
    assert ended is not None
    return ended


def poll(world: World) -> None:
    world.clock.pass_(600)
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, ALL_ITEMS)], Cause.POLL, world.clock())
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, Kind.PRODUCT, ALL_ITEMS))


def price(world: World, *numbers: int, times: int = 100, version: int = 9, name: str | None = None) -> None:
    """The source shows these products at other prices."""
    for number in numbers or range(SIZE):
        fields = {"price_minor": 1_000 * times} | ({} if name is None else {"name": name})
        world.source.put(listing(f"P{number:02}", version, **fields))


def only(world: World) -> HoldView:
    (hold,) = holds.list_(world.deps)
    return holds.show(world.deps, hold.id)


def prices(world: World) -> set[int]:
    with world.database.read() as conn:
        return set(conn.exec_driver_sql("SELECT price_minor FROM listings WHERE NOT deleted").scalars())


def live(world: World) -> int:
    with world.database.read() as conn:
        return int(conn.exec_driver_sql("SELECT count(*) FROM listings WHERE NOT deleted").scalar() or 0)


def test_a_hold_shows_its_rows_before_and_after(world: World) -> None:
    price(world)
    read_all(world)
    shown = only(world)
    assert shown.rows == SIZE
    assert shown.sample[0] == SampleRow(key="P00", new=False, ends=False, fields={"price_minor": [1_000, 100_000]})


def test_a_hold_names_the_rule_that_spoke_and_its_figures(world: World) -> None:
    price(world)
    read_all(world)
    assert [(finding.rule, finding.figures) for finding in only(world).findings] == [
        ("powers of ten", {"rows": SIZE})
    ]


def test_a_release_writes_what_was_shown_although_the_source_is_empty_by_now(world: World) -> None:
    price(world)
    read_all(world)
    world.source.listings.clear()
    holds.release(world.deps, only(world).id)
    assert (live(world), prices(world)) == (SIZE, {100_000})


def test_after_a_release_the_next_disaster_is_held_again(world: World) -> None:
    price(world)
    read_all(world)
    holds.release(world.deps, only(world).id)
    world.source.listings.clear()
    read_all(world)
    assert (live(world), only(world).reason) == (SIZE, f"would delete {SIZE} of {SIZE} rows (100%)")


def test_a_release_leaves_alone_what_somebody_wrote_since(world: World) -> None:
    price(world)
    read_all(world)
    world.source.put(listing("P00", 12, price_minor=1_234))
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, "P00")], Cause.WEBHOOK, world.clock())
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, Kind.PRODUCT, "P00"))
    holds.release(world.deps, only(world).id)
    assert prices(world) == {1_234, 100_000}


@pytest.mark.parametrize("held", ["prices", "deletions"])
def test_what_a_release_may_not_write_over_is_looked_at_again(world: World, held: str) -> None:
    if held == "prices":
        price(world)
    else:
        world.source.listings.clear()
    read_all(world)
    world.clock.pass_(60)
    with world.database.begin() as conn:
        newer = listing("P00", 12, price_minor=1_234)
        catalog.apply(conn, SHOP, [newer], read_at=world.clock(), now=world.clock())
    holds.release(world.deps, only_of(world, Kind.PRODUCT))
    with world.database.read() as conn:
        assert conn.exec_driver_sql("SELECT external_id FROM owed_items").scalars().all() == ["P00"]


def test_held_deletions_are_released_as_they_were_shown(world: World) -> None:
    for number in range(10):
        del world.source.listings[f"P{number:02}"]
    read_all(world)
    world.source.listings.clear()
    holds.release(world.deps, only_of(world, Kind.PRODUCT))
    assert live(world) == SIZE - 10


def only_of(world: World, kind: Kind) -> int:
    return next(int(hold.id) for hold in holds.list_(world.deps) if hold.kind == kind)


def test_the_same_batch_again_stays_the_same_hold(world: World) -> None:
    price(world)
    read_all(world)
    before = only(world).id
    read_all(world)
    assert only(world).id == before


def test_another_batch_takes_the_place_of_a_hold(world: World) -> None:
    price(world)
    read_all(world)
    before = only(world).id
    price(world, times=10, version=10)
    read_all(world)
    assert only(world).id != before
    assert holds.show(world.deps, before).state == "expired"


def test_good_changes_of_the_same_batch_are_applied(world: World) -> None:
    price(world, *range(1, SIZE))
    world.source.put(listing("P00", 9, price_minor=1_000, description="New words"))
    read_all(world)
    with world.database.read() as conn:
        words = conn.exec_driver_sql("SELECT description FROM listings WHERE external_id = 'P00'").scalar()
    assert (words, prices(world)) == ("New words", {1_000})


def test_a_poll_holds_what_is_implausible(world: World) -> None:
    price(world)
    poll(world)
    assert (prices(world), only(world).rows) == ({1_000}, SIZE)


def test_a_poll_that_shows_a_little_of_what_is_held_writes_none_of_it(world: World) -> None:
    price(world)
    read_all(world)
    price(world, 1, 2, version=11)
    poll(world)
    assert (prices(world), only(world).rows) == ({1_000}, SIZE)


def test_a_poll_of_other_rows_leaves_a_hold_as_it_is(world: World) -> None:
    price(world)
    read_all(world)
    before = only(world).id
    world.source.put(listing("NEW", 12, price_minor=500))
    world.source.listings = {"NEW": world.source.listings["NEW"]}
    poll(world)
    assert (only(world).id, prices(world)) == (before, {1_000, 500})


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        (Strategy.ACTIVE, {}),
        (Strategy.INCREMENTAL, {}),
        (Strategy.CATALOG, {"modified_since": EPOCH - timedelta(days=1)}),
    ],
    ids=str,
)
def test_a_run_that_reads_what_changed_is_judged_as_one_batch(
    world: World, strategy: Strategy, options: dict[str, Any]
) -> None:
    world.source.page_size = 5
    price(world)
    run_strategy(world, strategy, **options)
    assert (prices(world), only(world).rows) == ({1_000}, SIZE)


def test_a_run_that_reads_what_changed_writes_what_is_beyond_doubt(world: World) -> None:
    price(world)
    world.source.put(listing("NEW", 12, price_minor=500))
    run_strategy(world, Strategy.ACTIVE)
    assert prices(world) == {1_000, 500}


def test_a_forced_run_that_reads_what_changed_is_believed(world: World) -> None:
    price(world)
    run_strategy(world, Strategy.ACTIVE, force=True)
    assert prices(world) == {100_000}


def test_a_dry_run_that_reads_what_changed_says_what_would_be_held_and_holds_nothing(world: World) -> None:
    price(world)
    counts = run_strategy(world, Strategy.ACTIVE, dry_run=True).counts["product"]
    assert ("power of ten" in str(counts.held), holds.list_(world.deps)) == (True, [])


def test_a_dry_run_that_shows_a_little_of_what_is_held_says_that_it_stays_held(world: World) -> None:
    price(world)
    read_all(world)
    world.source.listings = {name: world.source.listings[name] for name in ("P01", "P02")}
    ran = run_strategy(world, Strategy.INCREMENTAL, dry_run=True)
    with world.database.read() as conn:
        causes = conn.exec_driver_sql(f"SELECT cause FROM drift WHERE run_id = {ran.id}").scalars()
        assert list(causes) == ["held", "held"]


def test_what_a_person_releases_is_part_of_what_is_usual(world: World) -> None:
    for _ in range(15):
        read_all(world)
    price(world)
    read_all(world)
    holds.release(world.deps, only(world).id)
    with world.database.read() as conn:
        (today,) = usual.days_before(conn, SHOP, Kind.PRODUCT, now=world.clock() + timedelta(days=1), days=1)
    assert today["repriced"] == SIZE


def test_a_hold_shows_what_usually_happens_in_this_shop(world: World) -> None:
    for night in range(15):
        price(world, night, 20, version=30 + night, times=night + 2)
        read_all(world)
    price(world, version=99, times=1_000)
    read_all(world)
    (finding,) = only(world).findings
    assert (finding.rule, finding.figures["usually a day"]) == ("price jump", 2)


def test_what_is_usual_in_this_shop_is_not_held(world: World) -> None:
    for number in range(20):
        sell_out(world, number, 4)
    sell_out(world, 20, 8)
    assert holds.list_(world.deps) == []
    with world.database.begin() as conn:
        conn.exec_driver_sql("DELETE FROM usual_days")
    sell_out(world, 21, 8)
    assert [hold.kind for hold in holds.list_(world.deps)] == ["stock"]


def sell_out(world: World, night: int, many: int) -> None:
    """Some counts sell out, those of the night before are full again."""
    for number in range(SIZE):
        sold = (number + night * many) % SIZE < many
        world.source.put(count(f"P{number:02}", 0 if sold else 5, version=100 + night))
    read_all(world)


def test_what_was_meant_is_believed_until_its_day(world: World) -> None:
    price(world)
    read_all(world)
    holds.release(world.deps, only(world).id, believed_until=world.clock() + timedelta(days=3))
    price(world, times=1, version=12)
    read_all(world)
    assert (prices(world), holds.list_(world.deps)) == ({1_000}, [])


def test_a_belief_ends_with_its_day(world: World) -> None:
    price(world)
    read_all(world)
    holds.release(world.deps, only(world).id, believed_until=world.clock() + timedelta(hours=3))
    price(world, times=1, version=12)
    read_all(world)
    assert prices(world) == {100_000}


def test_a_belief_of_a_year_is_refused(world: World) -> None:
    price(world)
    read_all(world)
    with pytest.raises(Refused, match="90 days"):
        holds.release(world.deps, only(world).id, believed_until=world.clock() + timedelta(days=365))


def test_a_dismissed_hold_keeps_our_rows(world: World) -> None:
    price(world)
    read_all(world)
    holds.dismiss(world.deps, only(world).id)
    assert (prices(world), holds.list_(world.deps)) == ({1_000}, [])


def test_only_one_decision_counts(world: World) -> None:
    price(world)
    read_all(world)
    number = only(world).id
    holds.dismiss(world.deps, number)
    with pytest.raises(Refused, match="it is dismissed"):
        holds.release(world.deps, number)


def test_a_release_whose_process_died_is_finished_by_the_next_read(world: World) -> None:
    price(world)
    read_all(world)
    number = only(world).id
    with world.database.begin() as conn:
        stored.close(conn, number, stored.RELEASED)
    read_all(world)
    assert prices(world) == {100_000}


def test_a_hold_whose_rows_are_not_all_kept_cannot_be_released(world: World) -> None:
    price(world)
    read_all(world)
    with world.database.begin() as conn:
        conn.exec_driver_sql("DELETE FROM hold_rows WHERE item = 'P03'")
    with pytest.raises(Refused, match="not all of its rows"):
        holds.release(world.deps, only(world).id)


def test_decisions_are_audited(world: World) -> None:
    price(world)
    read_all(world)
    holds.release(world.deps, only(world).id)
    with world.database.read() as conn:
        actions = list(conn.exec_driver_sql("SELECT action FROM audit_log").scalars())
    assert actions[-1] == "holds.released"


def test_a_list_that_leaves_out_what_is_still_there_deletes_nothing(world: World) -> None:
    assert isinstance(world.source, ShortSource)
    world.source.hidden = frozenset({"P07"})
    read_all(world)
    assert live(world) == SIZE
    assert only(world).reason.startswith("the list is incomplete: 1 of 1")
