"""Drift rows say what differed and why; holds wait for exactly one decision."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.domain import Kind, StockCount
from app.stores.guard import holds
from app.stores.runs import drift
from app.stores.runs.drift import DriftRow
from app.stores.sql.engine import Database

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SINCE = datetime(2026, 11, 20, 8, tzinfo=UTC)
ROWS = [
    DriftRow(Kind.PRODUCT, "p1", "differs", {"name": ["a", "b"], "version": [1, 2]}, "missed", SINCE),
    DriftRow(Kind.PRODUCT, "p2", "differs", {"name": ["c", "d"]}, "missed"),
    DriftRow(Kind.STOCK, "p1/l1/on_hand", "vanished", {"quantity": [Decimal("1.5"), Decimal(0)]}, "late"),
]


def written(database: Database, rows: list[DriftRow]) -> None:
    with database.begin() as conn:
        drift.write(conn, 7, "shop", rows, now=NOW)


def test_a_drift_row_is_read_back_with_its_fields(database: Database) -> None:
    written(database, ROWS[:1])
    with database.read() as conn:
        (row,) = drift.of_run(conn, 7)
    kept = ("connection", "kind", "item", "change", "fields", "cause", "since", "found_at")
    assert [getattr(row, name) for name in kept] == [
        "shop", "product", "p1", "differs", {"name": ["a", "b"]}, "missed", SINCE, NOW
    ]  # fmt: skip


def test_quantities_are_kept_as_exact_text(database: Database) -> None:
    written(database, ROWS[2:])
    with database.read() as conn:
        assert drift.of_run(conn, 7)[0].fields == {"quantity": ["1.5", "0"]}


def test_a_runs_rows_are_paged_by_id(database: Database) -> None:
    written(database, ROWS)
    with database.read() as conn:
        first = drift.of_run(conn, 7, limit=2)
        rest = drift.of_run(conn, 7, limit=2, after_id=first[-1].id)
    assert [len(first), len(rest)] == [2, 1]


def test_what_a_run_finds_for_the_second_time_is_told_once(database: Database) -> None:
    written(database, ROWS)
    again = ROWS[0]._replace(cause="late")
    with database.begin() as conn:
        drift.write_anew(conn, 7, "shop", [again], now=NOW)
        found = [(row.item, row.cause) for row in drift.of_run(conn, 7)]
    assert sorted(found) == [("p1", "late"), ("p1/l1/on_hand", "late"), ("p2", "missed")]


def test_rows_of_another_run_are_not_shown(database: Database) -> None:
    written(database, ROWS)
    with database.read() as conn:
        assert drift.of_run(conn, 8) == []


def test_a_run_is_summed_up_by_kind_change_and_cause(database: Database) -> None:
    written(database, ROWS)
    with database.read() as conn:
        assert drift.summary(conn, 7) == [
            (Kind.PRODUCT, "differs", "missed", 2),
            (Kind.STOCK, "vanished", "late", 1),
        ]


def test_a_run_without_drift_writes_nothing(database: Database) -> None:
    written(database, [])
    with database.read() as conn:
        assert drift.summary(conn, 7) == []


def test_field_changes_name_the_content_that_differs() -> None:
    new = StockCount("a", "l1", "on_hand", Decimal("2.0"), version=9, modified_at=NOW)
    old = StockCount("a", "l1", "on_hand", Decimal(3), version=1)
    assert drift.field_changes(old, new) == {"quantity": [Decimal(3), Decimal(2)]}


def test_field_changes_of_equal_content_are_none() -> None:
    new = StockCount("a", "l1", "on_hand", Decimal("2.0"), version=9)
    old = StockCount("a", "l1", "on_hand", Decimal(2))
    assert drift.field_changes(old, new) == {}


def hold(database: Database, connection: str = "shop") -> int:
    with database.begin() as conn:
        return holds.hold(
            conn, connection=connection, kind=Kind.STOCK, run_id=7, reason="too many zeroes", summary={"zeroed": 900},
            now=NOW,
        )  # fmt: skip


def test_a_hold_waits_with_its_summary(database: Database) -> None:
    held = hold(database)
    with database.read() as conn:
        assert [(row.id, row.summary, row.held_at) for row in holds.open_(conn)] == [(held, {"zeroed": 900}, NOW)]


def test_holds_can_be_asked_for_by_connection(database: Database) -> None:
    hold(database, "other")
    with database.read() as conn:
        assert holds.open_(conn, "shop") == []


def test_a_closed_hold_waits_no_more(database: Database) -> None:
    held = hold(database)
    with database.begin() as conn:
        holds.close(conn, held, holds.RELEASED)
        assert holds.open_(conn) == []


def test_only_the_first_decision_about_a_hold_counts(database: Database) -> None:
    held = hold(database)
    with database.begin() as conn:
        assert [holds.close(conn, held, holds.DISMISSED), holds.close(conn, held, holds.RELEASED)] == [True, False]


def test_a_hold_is_closed_by_a_decision_only(database: Database) -> None:
    with database.begin() as conn, pytest.raises(ValueError, match="not 'held'"):
        holds.close(conn, hold_id=1, state="held")


def test_a_plausible_read_closes_the_hold_of_its_connection_only(database: Database) -> None:
    hold(database)
    hold(database, "other")
    with database.begin() as conn:
        holds.pass_(conn, connection="shop", kind=Kind.STOCK, read_at=NOW)
        assert [row.connection for row in holds.open_(conn)] == ["other"]
