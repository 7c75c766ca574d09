"""The feed of changes: complete, in the order of commits, and read on from a cursor; also while others write."""

import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Connection, insert, select

from app.domain import ON_HAND, Kind, Listing, Record, StockCount
from app.errors import InvalidRequest
from app.stores import catalog, history, tables
from app.stores.history import Cursor
from app.stores.history.feed import note_removed
from app.stores.history.past import PastCount
from app.stores.history.rows import ROWS, begin_load, end_load
from app.stores.sql.engine import Database, open_database
from app.stores.upkeep.marks import rise

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def put(conn: Connection, *records: Record, minutes: int = 1) -> None:
    moment = T0 + timedelta(minutes=minutes)
    catalog.apply(conn, "shop", records, read_at=moment, now=moment, by="webhook")


def follow(
    database: Database, cursor: Cursor | None = None, connections: Sequence[str] = ("shop",), limit: int = 100
) -> tuple[list[str], Cursor]:
    with database.read() as conn:
        changes, cursor = history.after(conn, cursor or history.begin_of(conn), connections, limit)
    return [f"{change.op} {change.external_id}" for change in changes], cursor


def test_the_feed_shows_what_was_created_updated_and_deleted(database: Database) -> None:
    for version, listing in enumerate(
        (Listing("A"), Listing("A", name="x"), Listing("A", name="x", deleted=True)), 1
    ):
        with database.begin() as conn:
            put(conn, listing, minutes=version)
    assert follow(database)[0] == ["created A", "updated A", "deleted A"]


def test_the_feed_goes_on_behind_the_cursor(database: Database) -> None:
    for id in "ABC":
        with database.begin() as conn:
            put(conn, Listing(id))
    first, cursor = follow(database, limit=2)
    assert (first, follow(database, cursor)[0]) == (["created A", "created B"], ["created C"])


def test_at_its_end_the_feed_keeps_the_cursor(database: Database) -> None:
    with database.begin() as conn:
        put(conn, Listing("A"))
    _, cursor = follow(database)
    assert follow(database, cursor) == ([], cursor)


def test_the_cursor_moves_past_what_the_feed_does_not_show(database: Database) -> None:
    with database.begin() as conn:
        put(conn, Listing("A"))
    _, cursor = follow(database)
    with database.begin() as conn:
        history.past.put(conn, "shop", [PastCount("A", "L1", ON_HAND, T0, None, Decimal(3))], T0)
    shown, moved = follow(database, cursor)
    with database.begin() as conn:
        newest = history.end(conn)
        put(conn, Listing("B"))
    assert (shown, moved, follow(database, moved)[0]) == ([], newest, ["created B"])


def test_a_first_load_is_told_behind_the_cursor(database: Database) -> None:
    with database.begin() as conn:
        put(conn, Listing("A"))
    _, cursor = follow(database)
    with database.begin() as conn:
        begin_load(conn, "shop", Kind.STOCK, T0)
    with database.begin() as conn:
        end_load(conn, "shop", Kind.STOCK, T0)
    assert follow(database, cursor)[0] == ["loaded "]


def test_from_the_end_on_only_later_changes_are_shown(database: Database) -> None:
    with database.begin() as conn:
        put(conn, Listing("A"))
    with database.read() as conn:
        cursor = history.end(conn)
    with database.begin() as conn:
        put(conn, Listing("B"))
    assert follow(database, cursor)[0] == ["created B"]


def test_the_feed_leaves_out_other_connections(database: Database) -> None:
    with database.begin() as conn:
        put(conn, Listing("A"))
    assert follow(database, connections=["other"])[0] == []


def test_a_cursor_is_its_own_text_again(database: Database) -> None:
    assert Cursor.parse(str(Cursor(1, 23, 456))) == (1, 23, 456)


@pytest.mark.parametrize(
    "text", ["", "1", "1-2", "a-b-c", "1-2-3-4", "1--2", "-1-2-3", "1-2-99999999999999999999", "²-1-1"]
)
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="none of ours"):
        Cursor.parse(text)


def test_a_cursor_from_before_a_restored_backup_is_refused(database: Database) -> None:
    with database.begin() as conn:
        put(conn, Listing("A"))
    _, cursor = follow(database)
    with database.begin() as conn:
        moments = dict.fromkeys(("back_to", "lost_at", "found_at"), T0)
        conn.execute(insert(tables.core(tables.Restore)).values(moments))
    with pytest.raises(InvalidRequest, match="restored from a backup"):
        follow(database, cursor)


def test_a_change_is_not_passed_by_while_an_earlier_transaction_is_open(postgres_url: str) -> None:
    """The later one gets the higher id and commits first: a reader that had gone past it would miss the earlier one."""
    with closing(open_database(postgres_url)) as one, closing(open_database(postgres_url)) as other:
        with one.begin() as early:
            put(early, Listing("A"))
            with other.begin() as late:
                put(late, Listing("B"))
            during, cursor = follow(other)
        assert (during, follow(other, cursor)[0]) == ([], ["created A", "created B"])


WRITERS, WRITES, PARTS = 4, 40, "ab"


def test_a_reader_beside_many_writers_sees_every_change_once(database: Database) -> None:
    done = threading.Event()
    seen: list[str] = []

    def write(number: int) -> None:
        for turn in range(WRITES):
            with database.begin() as conn:
                put(conn, *(StockCount(f"{number}-{turn}{part}", "L", ON_HAND, Decimal(1)) for part in PARTS))

    def read() -> None:
        cursor: Cursor | None = None
        while True:
            was_done = done.is_set()
            changes, cursor = follow(database, cursor, limit=7)
            seen.extend(changes)
            if was_done and not changes:
                return

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert sorted(seen) == sorted(
        f"created {number}-{turn}{part}" for number in range(WRITERS) for turn in range(WRITES) for part in PARTS
    )


@pytest.mark.parametrize("number", ["9223372036854775808", "9999999999999999999"])
def test_a_number_that_no_database_holds_makes_no_cursor(number: str) -> None:
    with pytest.raises(InvalidRequest, match="none of ours"):
        Cursor.parse(f"0-0-{number}")


def test_a_cursor_that_lies_ahead_is_refused(database: Database) -> None:
    with database.begin() as conn:
        put(conn, Listing("A"))
    with database.read() as conn:
        end = history.end(conn)
    with pytest.raises(InvalidRequest, match="moved or restored"):
        follow(database, end._replace(transaction_id=end.transaction_id + 9, id=end.id + 9))


def test_a_cursor_of_another_database_is_refused(database: Database) -> None:
    _, cursor = follow(database)
    with database.begin() as conn:
        rise(conn, None, T0)
    with pytest.raises(InvalidRequest, match="moved or restored"):
        follow(database, cursor)


def test_a_cursor_from_before_what_retention_removed_is_refused(database: Database) -> None:
    for id in "ABC":
        with database.begin() as conn:
            put(conn, Listing(id))
    first, early = follow(database, limit=1)
    with database.begin() as conn:
        ids = sorted(conn.execute(select(ROWS.c.id)).scalars())
        note_removed(conn, ids[:2], T0)
        conn.execute(ROWS.delete().where(ROWS.c.id.in_(ids[:2])))
    with pytest.raises(InvalidRequest, match="no longer kept"):
        follow(database, early)
    assert (first, follow(database)[0]) == (["created A"], ["created C"])


def test_the_cursor_moves_past_changes_of_other_connections(database: Database) -> None:
    with database.begin() as conn:
        put(conn, Listing("A"))
    _, cursor = follow(database, connections=["other"])
    with database.read() as conn:
        assert cursor == history.end(conn)
