"""History: every applied change leaves a row in the same commit, and stock as of a moment follows from these rows."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.domain import FIRST_LOAD_WRITER, ON_HAND, Kind, Listing, MissingPolicy, Order, Record, Ref, Scope, StockCount
from app.stores import catalog, history
from app.stores.catalog import Read, bulk
from app.stores.catalog.differ import Differ
from app.stores.history import AppliedChange
from app.stores.history.rows import begin_load, end_load
from app.stores.sql.engine import Database

T0 = datetime(2026, 3, 1, tzinfo=UTC)
PLACE = "L1"


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def count(quantity: int, minutes: float, listing: str = "A", place: str = PLACE) -> StockCount:
    version = int(at(minutes).timestamp() * 1_000_000)
    return StockCount(listing, place, ON_HAND, Decimal(quantity), version=version, modified_at=at(minutes))


def put(database: Database, *records: Record, minutes: float, by: str = "webhook") -> None:
    with database.begin() as conn:
        catalog.apply(conn, "shop", records, read_at=at(minutes), now=at(minutes), by=by)


def put_in_bulk(database: Database, records: Sequence[Record], kind: Kind, minutes: float, by: str = "run 7") -> None:
    differ = Differ(database, "shop", kind, at(minutes))
    differ.feed(records)
    scope = Scope(kind, absent=MissingPolicy.ZERO if kind is Kind.STOCK else MissingPolicy.DELETED)
    bulk.write(database, "shop", differ.diff(scope), read_at=at(minutes), now=at(minutes), scope=scope, by=by)


def changes(database: Database, *ids: str) -> list[AppliedChange]:
    """Oldest first."""
    with database.read() as conn:
        return history.of_item(conn, "shop", ids or ["A"], limit=100)[::-1]


def quantities(database: Database, minutes: float, listing: str = "A") -> dict[str, Decimal | None]:
    with database.read() as conn:
        return {row.location_id: row.quantity for row in history.stock_as_of(conn, "shop", listing, at(minutes))}


def test_a_changed_count_leaves_what_was_before_and_after_and_what_brought_it(database: Database) -> None:
    put(database, count(5, 0), minutes=1)
    put(database, count(3, 10), minutes=11, by="poll")
    last = changes(database)[-1]
    assert (last.op, last.differences(), last.written_by) == ("updated", {"quantity": (5, 3)}, "poll")


def test_a_change_has_the_time_of_the_source_and_ours(database: Database) -> None:
    put(database, count(5, 0), minutes=1)
    put(database, count(3, 10), minutes=11)
    last = changes(database)[-1]
    assert (last.changed_at, last.recorded_at) == (at(10), at(11))


def test_a_change_without_a_time_of_the_source_has_that_of_its_read(database: Database) -> None:
    put(database, Listing("A", price_minor=100), minutes=1)
    put(database, Listing("A", price_minor=90), minutes=5)
    assert changes(database)[-1].changed_at == at(5)


def test_a_new_row_is_created(database: Database) -> None:
    put(database, count(5, 0), minutes=1)
    assert [(row.op, row.differences()) for row in changes(database)] == [("created", {"quantity": (None, 5)})]


@pytest.mark.parametrize(
    ("before", "after", "differences"),
    [
        (Listing("A", price_minor=100), Listing("A", price_minor=90), {"price": (100, 90)}),
        (Listing("A", cost_minor=None), Listing("A", cost_minor=50), {"cost": (None, 50)}),
        (Listing("A"), Listing("A", reorder_point=Decimal(4)), {"reorder_point": (None, Decimal(4))}),
        (Listing("A"), Listing("A", active=False), {"status": ("active", "inactive")}),
        (Listing("A"), Listing("A", archived=True), {"status": ("active", "archived")}),
        (Listing("A", name="x"), Listing("A", name="y"), {}),
    ],
)
def test_a_changed_product_leaves_the_tracked_values_that_moved(
    database: Database, before: Listing, after: Listing, differences: dict[str, tuple[object, object]]
) -> None:
    put(database, before, minutes=1)
    put(database, after, minutes=5)
    assert changes(database)[-1].differences() == differences


def test_a_read_of_the_same_content_leaves_no_row(database: Database) -> None:
    put(database, count(5, 0), minutes=1)
    put(database, count(5, 10), minutes=11)
    assert len(changes(database)) == 1


def test_an_older_state_leaves_no_row(database: Database) -> None:
    put(database, count(5, 10), minutes=11)
    put(database, count(3, 0), minutes=12)
    assert len(changes(database)) == 1


def test_a_deletion_leaves_a_row(database: Database) -> None:
    put(database, Listing("A", price_minor=100), minutes=1)
    with database.begin() as conn:
        refs = [Ref(Kind.PRODUCT, "A")]
        catalog.tombstone(conn, "shop", refs, read_at=at(5), now=at(5), by="webhook")
    last = changes(database)[-1]
    assert (last.op, last.differences(), last.written_by) == (
        "deleted",
        {"price": (100, None), "status": ("active", None)},
        "webhook",
    )


def test_a_deletion_of_what_we_never_held_leaves_no_row(database: Database) -> None:
    with database.begin() as conn:
        catalog.tombstone(conn, "shop", [Ref(Kind.PRODUCT, "A")], read_at=at(5), now=at(5), by="webhook")
    assert changes(database) == []


def test_a_deleted_row_that_comes_back_is_created(database: Database) -> None:
    put(database, Listing("A", version=1), minutes=1)
    put(database, Listing("A", version=2, deleted=True), minutes=2)
    put(database, Listing("A", version=3), minutes=3)
    assert [row.op for row in changes(database)] == ["created", "deleted", "created"]


def test_each_item_of_a_batch_keeps_what_brought_it(database: Database) -> None:
    read = Read([count(1, 0, "A"), count(2, 0, "B")], at(1), by="poll", by_item={"B": "replay"})
    with database.begin() as conn:
        catalog.apply_reads(conn, "shop", [read], now=at(1))
    assert {row.external_id: row.written_by for row in changes(database, "A", "B")} == {"A": "poll", "B": "replay"}


def test_a_bulk_write_leaves_rows_with_the_run(database: Database) -> None:
    put(database, count(5, 0), count(8, 0, "B"), minutes=1)
    put_in_bulk(database, [count(4, 10), count(8, 0, "B"), count(1, 9, "C")], Kind.STOCK, 20)
    rows = [row for row in changes(database, "A", "B", "C") if row.written_by == "run 7"]
    assert {row.external_id: row.differences() for row in rows} == {
        "C": {"quantity": (None, 1)},
        "A": {"quantity": (5, 4)},
    }


def test_a_count_that_a_complete_read_does_not_show_goes_to_zero_in_history_too(database: Database) -> None:
    put(database, count(5, 0), minutes=1)
    put_in_bulk(database, [], Kind.STOCK, 20)
    assert changes(database)[-1].differences() == {"quantity": (5, 0)}


def test_the_rows_of_a_first_load_leave_none(database: Database) -> None:
    put_in_bulk(database, [count(5, 0)], Kind.STOCK, 1, by=FIRST_LOAD_WRITER)
    assert changes(database) == []


def test_a_change_by_hand_is_told_as_such(database: Database) -> None:
    put(database, count(5, 0), minutes=1)
    with database.begin() as conn:
        conn.execute(text("UPDATE stock SET quantity = 9"))
    assert [(row.differences(), row.written_by) for row in changes(database)[1:]] == [({"quantity": (5, 9)}, "hand")]


def test_a_row_deleted_by_hand_is_told_as_such(database: Database) -> None:
    put(database, count(5, 0), minutes=1)
    with database.begin() as conn:
        conn.execute(text("DELETE FROM stock"))
    last = changes(database)[-1]
    assert (last.op, last.differences(), last.written_by) == ("deleted", {"quantity": (5, None)}, "hand")


def test_a_row_keeps_what_brought_its_content_when_it_is_read_again(database: Database) -> None:
    put(database, count(5, 0), minutes=1, by="webhook")
    put(database, count(5, 10), minutes=11, by="poll")
    with database.read() as conn:
        assert conn.execute(text("SELECT written_by FROM stock")).scalar() == "webhook"


def test_a_commit_that_is_undone_leaves_no_row(database: Database) -> None:
    put(database, count(5, 0), minutes=1)
    with suppress(RuntimeError), database.begin() as conn:
        catalog.apply(conn, "shop", [count(3, 10)], read_at=at(11), now=at(11))
        raise RuntimeError
    assert len(changes(database)) == 1


def test_changes_of_orders_are_no_part_of_an_items_history(database: Database) -> None:
    put(database, Order("A"), minutes=1)
    assert changes(database) == []


def test_history_is_read_on_from_a_place(database: Database) -> None:
    for minute in range(5):
        put(database, count(minute, minute), minutes=minute)
    with database.read() as conn:
        first = history.of_item(conn, "shop", ["A"], limit=2)
        place = history.place_of(history.place_text(first[-1]))
        rest = history.of_item(conn, "shop", ["A"], before=place, limit=10)
    assert [row.quantity_after for row in first + rest] == [4, 3, 2, 1, 0]


# --- stock as of a moment ---


def test_stock_as_of_a_moment_is_what_the_last_change_before_it_left(database: Database) -> None:
    for minute, quantity in ((0, 5), (10, 3), (20, 8)):
        put(database, count(quantity, minute), minutes=minute + 1)
    assert [quantities(database, minute)[PLACE] for minute in (0, 9, 10, 15, 20, 99)] == [5, 5, 3, 3, 8, 8]


def test_before_the_first_change_stock_is_what_that_change_found(database: Database) -> None:
    put_in_bulk(database, [count(5, 0)], Kind.STOCK, 1, by=FIRST_LOAD_WRITER)
    put(database, count(3, 10), minutes=11)
    assert quantities(database, 5) == {PLACE: 5}


def test_a_count_that_never_changed_is_what_it_is(database: Database) -> None:
    put_in_bulk(database, [count(5, 0)], Kind.STOCK, 1, by=FIRST_LOAD_WRITER)
    assert quantities(database, 5) == {PLACE: 5}


def test_a_count_was_nothing_before_it_was_created(database: Database) -> None:
    put(database, count(5, 10), minutes=11)
    assert quantities(database, 5) == {PLACE: None}


def test_stock_as_of_a_moment_is_told_for_each_place(database: Database) -> None:
    put(database, count(5, 0), count(7, 0, place="L2"), minutes=1)
    put(database, count(6, 10, place="L2"), minutes=11)
    assert quantities(database, 5) == {PLACE: 5, "L2": 7}


def test_history_is_known_since_the_first_load(database: Database) -> None:
    with database.begin() as conn:
        begin_load(conn, "shop", Kind.STOCK, at(3))
        assert history.known_since(conn, "shop") == at(3)


def test_who_follows_is_told_when_a_first_load_has_ended(database: Database) -> None:
    with database.begin() as conn:
        begin_load(conn, "shop", Kind.STOCK, at(3))
        end_load(conn, "shop", Kind.STOCK, at(5))
        end_load(conn, "shop", Kind.STOCK, at(9))
    with database.read() as conn:
        changes, _ = history.after(conn, history.begin_of(conn), ["shop"], 10)
    assert [(row.op, row.changed_at) for row in changes] == [("loaded", at(5))]


def test_a_load_that_never_began_does_not_end(database: Database) -> None:
    with database.begin() as conn:
        end_load(conn, "shop", Kind.STOCK, at(5))
    with database.read() as conn:
        assert history.after(conn, history.begin_of(conn), ["shop"], 10)[0] == []


def begun(database: Database, minutes: float) -> bool:
    """Whether a load that begins now is the first."""
    with database.begin() as conn:
        return begin_load(conn, "shop", Kind.STOCK, at(minutes))


def test_a_load_into_an_empty_table_is_the_first_until_it_has_written(database: Database) -> None:
    tries = [begun(database, 1), begun(database, 2)]
    put(database, count(5, 2), minutes=3)
    assert [*tries, begun(database, 4)] == [True, True, False]


def test_history_is_known_since_the_attempt_that_wrote(database: Database) -> None:
    begun(database, 1)
    begun(database, 2)
    with database.read() as conn:
        assert history.known_since(conn, "shop") == at(2)


def test_a_load_after_all_rows_were_deleted_by_hand_is_not_the_first(database: Database) -> None:
    begun(database, 1)
    put_in_bulk(database, [count(5, 0)], Kind.STOCK, 1, by=FIRST_LOAD_WRITER)
    with database.begin() as conn:
        end_load(conn, "shop", Kind.STOCK, at(1))
        conn.execute(text("DELETE FROM stock"))
    assert not begun(database, 5)


def test_where_a_count_came_before_any_load_history_is_known_since_the_load_at_least(database: Database) -> None:
    put(database, count(5, 0), minutes=1)
    begun(database, 4)
    with database.read() as conn:
        assert history.known_since(conn, "shop") == at(4)


# --- moments that run backwards ---


def stock_now(database: Database) -> dict[str, Decimal | None]:
    with database.read() as conn:
        return {row[0]: Decimal(str(row[1])) for row in conn.execute(text("SELECT location_id, quantity FROM stock"))}


def test_a_count_that_was_deleted_and_is_shown_again_as_of_long_ago_is_there_now(database: Database) -> None:
    put(database, count(5, 0), minutes=1)
    with database.begin() as conn:
        catalog.tombstone(conn, "shop", [Ref(Kind.STOCK, "A")], read_at=at(2), now=at(2), by="webhook")
    put(database, count(5, 0), minutes=3)
    assert quantities(database, 9) == stock_now(database)


def test_a_change_that_the_source_dates_ahead_counts_from_when_it_was_written(database: Database) -> None:
    put(database, count(5, 0), minutes=1)
    put(database, count(4, 62), minutes=2)
    assert (quantities(database, 3), changes(database)[-1].changed_at) == ({PLACE: Decimal(4)}, at(2))


def test_a_change_that_arrives_after_an_edit_by_hand_wins(database: Database) -> None:
    put(database, count(5, 0), minutes=1)
    with database.begin() as conn:
        conn.execute(text("UPDATE stock SET quantity = 9"))
    put(database, count(3, 2), minutes=3)
    assert changes(database)[-1].quantity_after == 3


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9), st.sampled_from(["put", "gone", "hand"])), max_size=8)
)
def test_stock_as_of_now_is_the_stock_that_is_held(database: Database, steps: list[tuple[int, int, str]]) -> None:
    with database.begin() as conn:
        conn.execute(text("DELETE FROM stock"))
        conn.execute(text("DELETE FROM history"))
    for minute, (dated, quantity, step) in enumerate(steps, 1):
        if step == "put":
            put(database, count(quantity, dated), minutes=minute)
            continue
        with database.begin() as conn:
            if step == "gone":
                refs = [Ref(Kind.STOCK, "A")]
                catalog.tombstone(conn, "shop", refs, read_at=at(minute), now=at(minute), by="poll")
            else:
                conn.execute(text(f"UPDATE stock SET quantity = {quantity} WHERE NOT deleted"))
    with database.read() as conn:
        rows = conn.execute(text("SELECT location_id, quantity FROM stock WHERE NOT deleted"))
        held = {row[0]: Decimal(str(row[1])) for row in rows}
    then = datetime(9000, 1, 1, tzinfo=UTC)
    with database.read() as conn:
        known = {row.location_id: row.quantity for row in history.stock_as_of(conn, "shop", "A", then)}
    assert {place: amount for place, amount in known.items() if amount is not None} == held


def test_rows_that_a_batch_ends_keep_what_brought_them(database: Database) -> None:
    put(database, count(1, 0, "A"), count(2, 0, "B"), minutes=1)
    gone = [Ref(Kind.STOCK, "A"), Ref(Kind.STOCK, "B")]
    with database.begin() as conn:
        read = Read([], at(2), gone=gone, by="poll", by_item={"B": "webhook"})
        catalog.apply_reads(conn, "shop", [read], now=at(2))
    ends = {row.external_id: row.written_by for row in changes(database, "A", "B") if row.op == "deleted"}
    assert ends == {"A": "poll", "B": "webhook"}


def test_counts_that_a_batch_zeroes_keep_what_brought_them(database: Database) -> None:
    put(database, count(1, 0, "A"), count(2, 0, "B"), minutes=1)
    covers = [Scope(Kind.STOCK, "listing_id", id, MissingPolicy.ZERO) for id in "AB"]
    with database.begin() as conn:
        read = Read([], at(2), covers, by="poll", by_item={"B": "webhook"})
        catalog.apply_reads(conn, "shop", [read], now=at(2))
    zeroes = {row.external_id: row.written_by for row in changes(database, "A", "B") if row.op == "updated"}
    assert zeroes == {"A": "poll", "B": "webhook"}


def test_a_released_hold_is_recorded_when_it_is_written(database: Database) -> None:
    put(database, count(5, 0), minutes=1)
    with database.begin() as conn:
        key = ("A", PLACE, ON_HAND)
        catalog.close_rows(
            conn, Kind.STOCK, MissingPolicy.ZERO, "shop", [key], read_at=at(2), now=at(3), present=at(50), by="hold 1"
        )
    assert changes(database)[-1].recorded_at == at(50)
