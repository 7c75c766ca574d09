"""The bulk diff says exactly what a read would change, and writing it gives the rows that apply would give."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from app.domain import Kind, Listing, MissingPolicy, Record, Ref, Scope, StockCount, micros
from app.domain.collector import collector_paused
from app.errors import DatabaseFault
from app.stores import catalog
from app.stores.catalog import bulk, stored_rows
from app.stores.catalog.diff import Diff
from app.stores.catalog.differ import Differ
from app.stores.sql.engine import Database
from app.stores.tables import CATALOG

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
ALL = Scope(Kind.PRODUCT)
ALL_STOCK = Scope(Kind.STOCK, absent=MissingPolicy.ZERO)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def listing(key: str, version: int = 1, name: str = "bowl", **more: Any) -> Listing:
    return Listing(external_id=key, name=name, version=version, **more)


def count(key: str, quantity: str, location: str = "l1", version: int = 1) -> StockCount:
    return StockCount(key, location, "on_hand", Decimal(quantity), version=version)


def id_of(record: Record) -> str:
    assert not isinstance(record, StockCount)
    return record.external_id


def quantity_of(record: Record) -> Decimal:
    assert isinstance(record, StockCount)
    return record.quantity


def apply(database: Database, records: Sequence[Record], read: float = 0, connection: str = "shop") -> None:
    with database.begin() as conn:
        catalog.apply(conn, connection, records, read_at=at(read), now=NOW)


def differ(database: Database, records: Sequence[Record], read: float = 10, kind: Kind = Kind.PRODUCT) -> Differ:
    compared = Differ(database, "shop", kind, at(read))
    compared.feed(records)
    return compared


def reconcile(
    database: Database,
    records: Sequence[Record],
    scope: Scope | None = ALL,
    read: float = 10,
    connection: str = "shop",
) -> bulk.Written:
    kind = scope.kind if scope else Kind.PRODUCT
    compared = Differ(database, connection, kind, at(read))
    compared.feed(records)
    return bulk.write(database, connection, compared.diff(scope), read_at=at(read), now=at(read), scope=scope)


def rows(database: Database, kind: Kind = Kind.PRODUCT, connection: str = "shop") -> dict[tuple[str, ...], Any]:
    table = CATALOG[kind]
    keys = table.primary_key.columns.keys()[1:]
    with database.read() as conn:
        found = conn.execute(select(table).where(table.c.connection == connection)).mappings()
        return {tuple(row[key] for key in keys): {**row, "connection": ""} for row in found}


def test_a_record_without_a_row_is_created(database: Database) -> None:
    assert list(differ(database, [listing("a")]).diff().created) == [listing("a")]


def test_the_same_content_under_the_same_version_is_unchanged(database: Database) -> None:
    apply(database, [listing("a")])
    diff = differ(database, [listing("a")]).diff()
    assert (diff.unchanged, len(diff.created), len(diff.changed), len(diff.touched)) == (1, 0, 0, 0)


def test_new_content_is_changed(database: Database) -> None:
    apply(database, [listing("a")])
    new = listing("a", 2, "cup")
    assert list(differ(database, [new]).diff().changed) == [new]


def test_the_same_content_under_a_newer_version_is_touched(database: Database) -> None:
    apply(database, [listing("a")])
    assert list(differ(database, [listing("a", 2)]).diff().touched) == [listing("a", 2)]


def test_a_version_that_is_the_reads_own_time_does_not_touch(database: Database) -> None:
    apply(database, [listing("a", micros(at(0)))])
    assert list(differ(database, [listing("a", micros(at(10)))]).diff().touched) == []


def test_an_older_version_is_unchanged(database: Database) -> None:
    apply(database, [listing("a", 3, "cup")])
    assert list(differ(database, [listing("a", 2)]).diff().changed) == []


def test_a_row_read_later_under_the_same_version_is_not_changed(database: Database) -> None:
    apply(database, [listing("a", 1, "cup")], read=11)
    assert list(differ(database, [listing("a", 1)]).diff().changed) == []


def test_only_rows_of_the_connection_are_compared(database: Database) -> None:
    apply(database, [listing("a")], connection="other")
    assert differ(database, []).diff(ALL).vanished == []


def test_a_live_row_that_was_not_shown_vanished(database: Database) -> None:
    apply(database, [listing("a"), listing("b")])
    assert differ(database, [listing("a")]).diff(ALL).vanished == [("b",)]


def test_nothing_vanishes_from_an_incomplete_read(database: Database) -> None:
    apply(database, [listing("a")])
    assert differ(database, []).diff(None).vanished == []


def test_a_tombstone_does_not_vanish_again(database: Database) -> None:
    apply(database, [listing("a", deleted=True)])
    assert differ(database, []).diff(ALL).vanished == []


def test_a_row_read_after_the_read_began_does_not_vanish(database: Database) -> None:
    apply(database, [listing("a")], read=11)
    assert differ(database, []).diff(ALL).vanished == []


def test_a_scope_of_a_field_lets_only_its_rows_vanish(database: Database) -> None:
    apply(database, [listing("a", parent_id="i1"), listing("b", parent_id="i2")])
    assert differ(database, []).diff(Scope(Kind.PRODUCT, "parent_id", "i2")).vanished == [("b",)]


def test_a_scope_of_a_key_field_lets_only_its_rows_vanish(database: Database) -> None:
    apply(database, [count("a", "1", "l1"), count("a", "2", "l2")])
    scope = Scope(Kind.STOCK, "location_id", "l2", MissingPolicy.ZERO)
    assert differ(database, [], kind=Kind.STOCK).diff(scope).vanished == [("a", "l2", "on_hand")]


def test_a_row_that_is_zero_already_does_not_vanish_where_absent_means_zero(database: Database) -> None:
    apply(database, [count("a", "0"), count("b", "2")])
    assert differ(database, [], kind=Kind.STOCK).diff(ALL_STOCK).vanished == [("b", "l1", "on_hand")]


def test_quantities_going_to_nothing_are_counted_shown_or_not(database: Database) -> None:
    apply(database, [count("a", "3"), count("b", "2"), count("c", "0"), count("d", "5")])
    shown = [count("a", "0", version=2), count("c", "0", version=2), count("d", "4", version=2)]
    assert differ(database, shown, kind=Kind.STOCK).diff(ALL_STOCK).zeroed == 2


def test_live_rows_are_counted_before_the_read(database: Database) -> None:
    apply(database, [listing("a"), listing("b", deleted=True)])
    assert differ(database, [listing("c")]).diff(ALL).total_local == 1


def test_a_key_shown_twice_is_read_once(database: Database) -> None:
    assert differ(database, [listing("a"), listing("a")]).diff().read == 1


@pytest.mark.parametrize("held", [None, listing("a", 1, "old"), listing("a", 2, "new")], ids=["none", "old", "new"])
def test_of_a_key_shown_twice_the_newest_is_written(database: Database, held: Listing | None) -> None:
    apply(database, [held] if held else [])
    reconcile(database, [listing("a", 2, "new"), listing("a", 3, "newest"), listing("a", 1, "old")])
    assert rows(database)["a",]["name"] == "newest"


def test_of_a_key_shown_twice_under_one_version_the_last_is_written(database: Database) -> None:
    apply(database, [listing("a", 1, "bowl")])
    reconcile(database, [listing("a", 2, "bowl"), listing("a", 2, "cup")])
    assert rows(database)["a",]["name"] == "cup"


def test_writing_counts_what_it_wrote(database: Database) -> None:
    apply(database, [listing("a"), listing("b"), listing("c"), listing("d")])
    shown = [listing("a"), listing("b", 2, "cup"), listing("c", 2), listing("e")]
    assert reconcile(database, shown) == bulk.Written(created=1, updated=1, touched=1, deleted=1)


def test_a_vanished_row_becomes_a_tombstone(database: Database) -> None:
    apply(database, [listing("a")])
    reconcile(database, [])
    row = rows(database)["a",]
    assert (row["deleted"], row["row_hash"], row["read_at"]) == (True, 0, at(10))


def test_vanished_stock_becomes_zero(database: Database) -> None:
    apply(database, [StockCount("a", "l1", "on_hand", Decimal(3), extra='["lot"]', version=1)])
    reconcile(database, [], ALL_STOCK)
    row = rows(database, Kind.STOCK)["a", "l1", "on_hand"]
    assert (row["quantity"], row["deleted"], row["version"]) == (0, False, micros(at(10)))


def test_a_zeroed_row_agrees_with_a_zero_from_the_source(database: Database) -> None:
    apply(database, [StockCount("a", "l1", "on_hand", Decimal(3), extra='["lot"]', version=1)])
    reconcile(database, [], ALL_STOCK)
    zero = count("a", "0", version=micros(at(20)))
    assert differ(database, [zero], read=20, kind=Kind.STOCK).diff().unchanged == 1


def test_a_second_run_over_the_same_read_finds_nothing(database: Database) -> None:
    shown = [listing("a"), listing("b", 2)]
    reconcile(database, shown)
    assert reconcile(database, shown) == bulk.Written()


def test_a_row_that_a_live_writer_made_newer_meanwhile_is_kept(database: Database) -> None:
    apply(database, [listing("a")])
    diff = differ(database, [listing("a", 2, "bulk")]).diff(ALL)
    apply(database, [listing("a", 3, "live")], read=11)
    bulk.write(database, "shop", diff, read_at=at(10), now=NOW, scope=ALL)
    assert rows(database)["a",]["name"] == "live"


def test_a_row_that_a_live_writer_showed_meanwhile_is_not_tombstoned(database: Database) -> None:
    apply(database, [listing("a")])
    diff = differ(database, []).diff(ALL)
    apply(database, [listing("a", 2, "live")], read=11)
    written = bulk.write(database, "shop", diff, read_at=at(10), now=NOW, scope=ALL)
    assert (written.deleted, rows(database)["a",]["deleted"]) == (0, False)


def test_a_tombstone_is_lifted_by_a_later_read_of_the_same_version(database: Database) -> None:
    apply(database, [listing("a")])
    reconcile(database, [], read=10)
    reconcile(database, [listing("a")], read=20)
    assert rows(database)["a",]["deleted"] is False


class _Dying:
    """A database whose process dies at its nth write transaction."""

    def __init__(self, database: Database, commits: int) -> None:
        self._database, self._left = database, commits
        self.dialect, self.read = database.dialect, database.read

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with self._database.begin() as conn:
            yield conn
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt

    def transact(self, work: Callable[[Connection], Any]) -> Any:
        with self.begin() as conn:
            return work(conn)


def test_a_write_cut_short_keeps_whole_commits_and_can_be_repeated(database: Database) -> None:
    shown = [
        listing(f"p{number:05d}", number + 1) for number in range(1200 if database.dialect == "sqlite" else 40_100)
    ]
    diff = differ(database, shown).diff(ALL)
    with pytest.raises(KeyboardInterrupt):
        bulk.write(_Dying(database, 2), "shop", diff, read_at=at(10), now=NOW, scope=ALL)  # type: ignore[arg-type]
    kept = len(rows(database))
    bulk.write(database, "shop", diff, read_at=at(10), now=NOW, scope=ALL)
    assert (kept, len(rows(database))) == (2 * bulk.ROWS_PER_COMMIT[database.dialect], len(shown))


def test_the_garbage_collector_runs_again_after_a_failure() -> None:
    with pytest.raises(RuntimeError), collector_paused():
        raise RuntimeError
    assert gc.isenabled()


def test_old_values_are_those_of_the_asked_rows(database: Database) -> None:
    apply(database, [count("a", "1.5"), count("b", "2")])
    old = stored_rows(database, "shop", Kind.STOCK, [("a", "l1", "on_hand"), ("z", "l1", "on_hand")])
    assert {key: quantity_of(row.record) for key, row in old.items()} == {("a", "l1", "on_hand"): Decimal("1.5")}


COUNTS = st.lists(
    st.builds(
        count, st.sampled_from("abcd"), st.sampled_from(["0", "1", "2.5"]), st.sampled_from(["l1", "l2"]),
        st.integers(1, 3),
    ),
    max_size=8,
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=COUNTS, shown=COUNTS, later=st.booleans())
def test_a_written_diff_ends_in_the_rows_that_apply_would_give(
    database: Database, before: list[StockCount], shown: list[StockCount], later: bool
) -> None:
    with database.begin() as conn:
        conn.exec_driver_sql("DELETE FROM stock")
    for name in ("one", "bulk"):
        apply(database, before, read=11 if later else 0, connection=name)
    with database.begin() as conn:
        catalog.apply_reads(conn, "one", [catalog.Read(shown, at(10), [ALL_STOCK])], now=at(10))
    reconcile(database, shown, ALL_STOCK, connection="bulk")
    assert rows(database, Kind.STOCK, "bulk") == rows(database, Kind.STOCK, "one")


# --- records that the database refuses ---

TOO_MUCH = 2**63


@pytest.mark.parametrize("bad", [[0], [999], [3, 4, 500], list(range(7))], ids=str)
def test_a_batch_that_cannot_be_written_is_bisected_down_to_its_bad_records(
    database: Database, bad: list[int]
) -> None:
    shown = [listing(f"p{number:04d}", price_minor=TOO_MUCH if number in bad else number) for number in range(1000)]
    written = bulk.write(database, "shop", differ(database, shown).diff(ALL), read_at=at(10), now=NOW, scope=ALL)
    assert [id_of(misfit.record) for misfit in written.failed] == [f"p{number:04d}" for number in bad]
    assert (written.created, len(rows(database))) == (1000 - len(bad), 1000 - len(bad))


def test_a_write_of_bad_records_only_is_not_taken_for_bad_records(database: Database) -> None:
    shown = [listing(f"p{number:04d}", price_minor=TOO_MUCH) for number in range(bulk.MAX_UNWRITABLE + 1)]
    diff = differ(database, shown).diff(ALL)
    with pytest.raises(Exception, match=r"int|out of range|too large"):
        bulk.write(database, "shop", diff, read_at=at(10), now=NOW, scope=ALL)


def test_what_a_commit_is_told_of_is_no_bad_record(database: Database) -> None:
    def told(conn: Connection, written: bulk.Written) -> None:
        raise ValueError("cancelled")

    diff = differ(database, [listing("a"), listing("b")]).diff(ALL)
    with pytest.raises(ValueError, match="cancelled"):
        bulk.write(database, "shop", diff, read_at=at(10), now=NOW, scope=ALL, on_commit=told)


class _Troubled(_Dying):
    """A database that is in trouble at its nth write transaction."""

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self._left -= 1
        if self._left < 0:
            raise DatabaseFault("the connection is lost")
        with self._database.begin() as conn:
            yield conn


def test_a_fault_of_the_database_makes_no_bad_record(database: Database) -> None:
    diff = differ(database, [listing("a"), listing("b")]).diff(ALL)
    with pytest.raises(DatabaseFault):
        bulk.write(_Troubled(database, 0), "shop", diff, read_at=at(10), now=NOW, scope=ALL)  # type: ignore[arg-type]


def test_a_record_that_cannot_be_compared_does_not_stop_its_page(database: Database) -> None:
    compared = Differ(database, "shop", Kind.PRODUCT, at(10))
    bad = listing("b", price_minor=10**20)
    misfits = compared.feed([listing("a"), bad, listing("c")])
    assert [misfit.record for misfit in misfits] == [bad]
    assert [id_of(record) for record in compared.diff().created] == ["a", "c"]


def test_a_version_that_no_column_holds_leaves_the_rest_of_its_page_alone(database: Database) -> None:
    compared = Differ(database, "shop", Kind.PRODUCT, at(10))
    bad = Listing("b", version=-(2**63) - 1)
    assert [misfit.record for misfit in compared.feed([listing("a"), bad, listing("c")])] == [bad]
    assert [id_of(record) for record in compared.diff().created] == ["a", "c"]


# --- what stays different ---


def test_a_row_that_a_live_writer_made_newer_meanwhile_is_refused(database: Database) -> None:
    apply(database, [listing("a"), listing("b")])
    diff = differ(database, [listing("a", 2, "bulk"), listing("b", 2, "bulk")]).diff(ALL)
    apply(database, [listing("a", 3, "live")], read=11)
    written = bulk.write(database, "shop", diff, read_at=at(10), now=NOW, scope=ALL)
    assert (written.updated, written.refused) == (1, [("a",)])


def test_a_vanished_row_that_a_live_writer_read_meanwhile_is_kept(database: Database) -> None:
    apply(database, [listing("a"), listing("b")])
    diff = differ(database, []).diff(ALL)
    apply(database, [listing("a", 3, "live")], read=11)
    written = bulk.write(database, "shop", diff, read_at=at(10), now=NOW, scope=ALL)
    assert (written.deleted, written.kept) == (1, [("a",)])


def test_a_row_that_is_newer_than_the_read_is_passed_over(database: Database) -> None:
    apply(database, [listing("a", 3, "newer")])
    assert differ(database, [listing("a", 2, "older")]).diff(ALL).passed == [listing("a", 2, "older")]


def test_a_row_passed_over_is_compared_again_when_a_later_page_shows_it_newer(database: Database) -> None:
    apply(database, [listing("a", 3, "newer")])
    diff = differ(database, [listing("a", 2, "older"), listing("a", 4, "newest")]).diff(ALL)
    assert (diff.passed, list(diff.changed)) == ([], [listing("a", 4, "newest")])


def test_a_live_row_that_was_read_since_is_unshown_and_has_not_vanished(database: Database) -> None:
    apply(database, [listing("a")], read=11)
    diff = differ(database, []).diff(ALL)
    assert (diff.vanished, diff.unshown) == ([], [("a",)])


@pytest.mark.parametrize("parent", [None, "item"])
def test_an_exempt_item_has_not_vanished(database: Database, parent: str | None) -> None:
    apply(database, [listing("a", parent_id=parent)])
    assert differ(database, []).diff(ALL, {parent or "a"}).vanished == []


def test_shown_records_that_are_deleted_there_are_counted_apart(database: Database) -> None:
    apply(database, [listing("a"), listing("b")])
    assert differ(database, [listing("a", 2, deleted=True), listing("b")]).diff(ALL).gone == 1


# --- wrong clocks ---

DAYS_400 = 400 * 86_400


def ahead(database: Database, records: Sequence[Record]) -> Differ:
    compared = Differ(database, "shop", Kind.PRODUCT, at(10), at(11))
    compared.feed(records)
    return compared


def test_a_row_read_in_the_future_protects_nothing(database: Database) -> None:
    apply(database, [listing("a", 1, "frozen")], read=DAYS_400)
    assert len(ahead(database, [listing("a", 1, "true")]).diff(ALL).changed) == 1


def test_a_version_from_the_future_counts_as_none(database: Database) -> None:
    apply(database, [listing("a", 1, "old")])
    with database.begin() as conn:
        conn.exec_driver_sql(f"UPDATE listings SET version = {micros(at(DAYS_400))}")
    assert len(ahead(database, [listing("a", 1, "true")]).diff(ALL).changed) == 1


def test_a_row_read_in_the_future_can_vanish(database: Database) -> None:
    apply(database, [listing("a")], read=DAYS_400)
    assert ahead(database, []).diff(ALL).vanished == [("a",)]


def test_a_record_dated_in_the_future_is_as_of_when_its_read_began(database: Database) -> None:
    future = listing("a", micros(at(DAYS_400)))
    assert ahead(database, [future]).diff(ALL).created[0].version == micros(at(10))


def test_a_tombstone_concluded_since_the_read_began_is_passed_over_by_a_newer_version(database: Database) -> None:
    apply(database, [listing("a")])
    with database.begin() as conn:
        catalog.tombstone(conn, "shop", [Ref(Kind.PRODUCT, "a")], read_at=at(11), now=at(11))
    diff = differ(database, [listing("a", 5, "shown before the deletion")]).diff(ALL)
    assert (len(diff.changed), len(diff.passed)) == (0, 1)


def test_a_tombstone_concluded_before_the_read_began_gives_way_to_an_older_version(database: Database) -> None:
    apply(database, [listing("a", 7)])
    with database.begin() as conn:
        catalog.tombstone(conn, "shop", [Ref(Kind.PRODUCT, "a")], read_at=at(5), now=at(5))
    assert len(differ(database, [listing("a", 5, "made anew")]).diff(ALL).changed) == 1


# --- reads and writes that last for minutes ---


def long_write(database: Database, diff: Diff, seconds: float = 600) -> bulk.Written:
    """Believed at 11 s, written so many seconds later."""
    return bulk.write(database, "shop", diff, read_at=at(10), now=at(11), scope=ALL, clock=lambda: at(11 + seconds))


def test_a_row_written_minutes_after_a_diff_was_believed_does_not_come_from_the_future(database: Database) -> None:
    apply(database, [listing("a")])
    diff = differ(database, [listing("a", 2, "bulk")]).diff(ALL)
    apply(database, [listing("a", 3, "live")], read=500)
    written = long_write(database, diff)
    assert (rows(database)["a",]["name"], written.refused) == ("live", [("a",)])


def test_a_row_read_minutes_after_a_diff_was_believed_does_not_vanish(database: Database) -> None:
    apply(database, [listing("a")])
    diff = differ(database, []).diff(ALL)
    apply(database, [listing("a", 2, "live")], read=500)
    assert long_write(database, diff).kept == [("a",)]


def test_a_part_of_an_item_deleted_minutes_after_a_diff_was_believed_is_fenced(database: Database) -> None:
    diff = differ(database, [listing("part", parent_id="item")]).diff(ALL)
    with database.begin() as conn:
        catalog.tombstone(conn, "shop", [Ref(Kind.PRODUCT, "item")], read_at=at(500), now=at(500))
    long_write(database, diff)
    assert ("part",) not in rows(database)


def test_what_is_edited_during_a_long_read_is_not_dated_in_the_future(database: Database) -> None:
    edited = micros(at(500))
    compared = Differ(database, "shop", Kind.PRODUCT, at(10), at(11))
    compared.feed([listing("a", edited)], at(600))
    assert compared.diff(ALL).created[0].version == edited


# --- rows that have but the time of their read for a version ---


def test_a_row_of_its_own_reads_time_is_changed_by_an_older_version(database: Database) -> None:
    apply(database, [listing("a", micros(at(5)), "as of the read")], read=5)
    assert list(differ(database, [listing("a", micros(at(3)), "true")]).diff(ALL).changed) == [
        listing("a", micros(at(3)), "true")
    ]


def test_a_row_of_a_later_reads_time_passes_over_an_older_version(database: Database) -> None:
    apply(database, [listing("a", micros(at(11)), "as of the read")], read=11)
    assert len(differ(database, [listing("a", micros(at(3)), "old")]).diff(ALL).passed) == 1


def test_a_row_of_its_own_reads_time_is_written_over_by_an_older_version(database: Database) -> None:
    apply(database, [listing("a", micros(at(5)), "as of the read")], read=5)
    reconcile(database, [listing("a", micros(at(3)), "true")])
    assert rows(database)["a",]["name"] == "true"
