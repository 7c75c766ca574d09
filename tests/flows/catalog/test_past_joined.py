"""The past joins on to our own history only where that tells what was loaded, and only as far as the record is readable."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain import BadPast, Kind, PastChange, PastPage, Spot
from app.flows.catalog import past
from app.flows.catalog.past import joined
from app.rules.past import Held
from app.stores import history
from app.stores.catalog import watermarks
from app.stores.history import CREATED, DELETED, PAST, UPDATED
from app.stores.history.past import HeldCount, OwnChange
from app.stores.history.rows import ROWS, begin_load
from app.stores.sql.engine import Database
from app.stores.tables import CATALOG
from app.stores.upkeep import pruning
from tests.fakes import SHOP, FakeSource, World
from workers.schedule import rounds_of

LOADED = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SHELF = Spot("L1", "on_hand")


def held(listing: str = "A", quantity: int = 5) -> HeldCount:
    return HeldCount(listing, *SHELF, Decimal(quantity), LOADED - DAY)


def own(op: str, before: int | None, *, days: float = 1, by: str = "webhook", at: Spot = SHELF) -> OwnChange:
    quantity = None if before is None else Decimal(before)
    return OwnChange("A", *at, op, LOADED + days * DAY, by, quantity)


# --- what was loaded ---


def test_a_count_that_has_not_moved_since_was_loaded_as_it_is() -> None:
    assert joined([held()], [], LOADED) == {SHELF: Held(Decimal(5), LOADED - DAY, Decimal(5), False)}


def test_a_count_that_moved_was_loaded_as_it_was_before_its_first_change() -> None:
    changes = [own(UPDATED, 8), own(UPDATED, 6)]
    assert joined([held()], changes, LOADED) == {SHELF: Held(Decimal(5), LOADED - DAY, Decimal(8), True)}


def test_a_count_that_came_later_has_no_past() -> None:
    assert joined([held()], [own(CREATED, None)], LOADED) == {}


@pytest.mark.parametrize(
    ("counts", "changes"),
    [
        ([held()], [own(UPDATED, 8, by="hand")]),
        ([held()], [own(CREATED, None, days=-1)]),
        ([], [own(DELETED, 8)]),
        ([held()._replace(modified_at=None)], []),
        ([held()], [own(PAST, 8, days=-3)]),
    ],
)
def test_where_our_history_does_not_tell_there_is_no_past(
    counts: Sequence[HeldCount], changes: Sequence[OwnChange]
) -> None:
    assert joined(counts, changes, LOADED) is None


# --- what cannot be read of the record ---


class Ledger(FakeSource):
    """A shop with a record of past changes."""

    def __init__(self, *pages: PastPage) -> None:
        super().__init__()
        self.pages = pages

    def past_changes(self, listing_ids: Sequence[str], since: datetime) -> Iterator[PastPage]:
        yield from self.pages


def sold(listing: str, days: float) -> PastChange:
    return PastChange(listing, SHELF, Decimal(-1), False, LOADED - days * DAY, LOADED - days * DAY)


def told(database: Database, *pages: PastPage) -> list[tuple[str, float]]:
    """Read the past of A and B; the rows: listing, and how many days before the load."""
    world = World(database, Ledger(*pages))
    with database.begin() as conn:
        begin_load(conn, SHOP, Kind.STOCK, LOADED)
        watermarks.put(conn, SHOP, Kind.STOCK, "1", LOADED)
        for listing in ("A", "B"):
            row = {**held(listing)._asdict(), "connection": SHOP, "deleted": False, "version": 1, "row_hash": 1}
            moments = {"read_at": LOADED, "written_at": LOADED, "written_by": "first load"}
            conn.execute(CATALOG[Kind.STOCK].insert().values(**row, **moments))
    assert past.take_turn(world.deps) == SHOP
    past.read_past(world.deps, SHOP, 100_000)
    query = select(ROWS.c.external_id, ROWS.c.changed_at).where(ROWS.c.op == PAST, ROWS.c.external_id != "")
    with database.read() as conn:
        return sorted((id, (LOADED - at) / DAY) for id, at in conn.execute(query))


CHANGES = [sold("A", 5), sold("A", 1), sold("B", 5), sold("B", 1)]


def test_a_readable_record_is_told_whole(database: Database) -> None:
    assert told(database, PastPage(CHANGES)) == [("A", 1), ("A", 5), ("B", 1), ("B", 5)]


def test_an_unreadable_record_ends_the_past_of_its_listing(database: Database) -> None:
    pages = PastPage(CHANGES), PastPage(failed=[BadPast("A", LOADED - 3 * DAY, "what is RECIPE?")])
    assert told(database, *pages) == [("A", 1), ("B", 1), ("B", 5)]


def test_an_unreadable_record_without_a_listing_may_be_any_of_those_asked_for(database: Database) -> None:
    pages = PastPage(CHANGES), PastPage(failed=[BadPast("", LOADED - 3 * DAY, "what is RECIPE?")])
    assert told(database, *pages) == [("A", 1), ("B", 1)]


def test_an_unreadable_record_without_a_moment_leaves_no_past(database: Database) -> None:
    page = PastPage(CHANGES, [BadPast("A", None, "it is 7, expected an object")])
    assert told(database, page) == [("B", 1), ("B", 5)]


# --- upkeep ---


def test_that_the_past_was_read_is_known_after_its_rows_have_gone(database: Database) -> None:
    told(database, PastPage(CHANGES))
    later = datetime.now(UTC) + DAY
    with database.begin() as conn:
        pruning.remove(conn, pruning.HISTORY, pruning.expired(conn, pruning.HISTORY, later), later)
        left = conn.execute(select(ROWS.c.id).where(ROWS.c.op == PAST)).all()
        note = history.past.note(conn, SHOP)
    assert len(left) == 2  # the note, and the newest row of the table, which always stays
    assert note is not None
    assert note.done


def test_the_clock_reads_the_past() -> None:
    assert "past" in rounds_of(Settings(_env_file=None))  # type: ignore[call-arg]
