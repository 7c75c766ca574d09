"""Pages of runs and differences: every filter leaves out what it should, and pages follow one another."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlmodel import SQLModel

from app.stores.runs import drift, history, runs
from app.stores.runs.drift import Difference
from app.stores.runs.history import DriftWanted, RunsWanted
from app.stores.sql.engine import Database
from tests.fakes import SHOP, Clock

NOW = Clock()()
HOUR = timedelta(hours=1)


def add_runs(database: Database, *rows: dict[str, Any]) -> list[int]:
    """Runs created an hour apart, the last one now; returns their ids."""
    shared = {"connection": SHOP, "strategy": "full", "cause": "schedule", "status": "completed"}
    table = SQLModel.metadata.tables["runs"]
    with database.begin() as conn:
        return [
            conn.execute(
                insert(table).returning(table.c.id), {**shared, "created_at": NOW - HOUR * (len(rows) - place), **row}
            ).scalar_one()
            for place, row in enumerate(rows, 1)
        ]


def add_drift(database: Database, *rows: dict[str, Any]) -> None:
    shared = {"run_id": 1, "connection": SHOP, "kind": "product", "item": "A", "change": "differs", "cause": "missed"}
    with database.begin() as conn:
        for row in rows:
            values = {**shared, "fields": '{"name":["a","b"]}', "found_at": NOW, **row}
            conn.execute(insert(SQLModel.metadata.tables["drift"]), values)


def run_ids(database: Database, **asked: Any) -> list[int]:
    with database.read() as conn:
        return [run.id for run in history.runs_page(conn, SHOP, RunsWanted(**asked))]


def items(database: Database, **asked: Any) -> list[str]:
    with database.read() as conn:
        return [row.item for row in history.drift_page(conn, SHOP, DriftWanted(**asked))]


# --- runs ---


def test_runs_come_newest_first_and_only_the_connections_own(database: Database) -> None:
    first, _, last = add_runs(database, {}, {"connection": "other"}, {})
    assert run_ids(database) == [last, first]


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"status": "failed"}, "status"), ({"strategy": "stock"}, "strategy"), ({"cause": "person"}, "cause")],
)
def test_a_filter_keeps_the_runs_that_have_the_value(database: Database, asked: dict[str, str], field: str) -> None:
    _, wanted = add_runs(database, {}, {field: asked[field]})
    assert run_ids(database, **asked) == [wanted]


@pytest.mark.parametrize("dry", [True, False])
def test_rehearsals_and_real_runs_are_told_apart(database: Database, dry: bool) -> None:
    _, wanted = add_runs(database, {"dry": not dry}, {"dry": dry})
    assert run_ids(database, dry=dry) == [wanted]


def test_since_is_included_and_until_is_not(database: Database) -> None:
    _, middle, _ = add_runs(database, {}, {}, {})
    assert run_ids(database, since=NOW - HOUR, until=NOW) == [middle]


def test_pages_of_runs_follow_one_another_without_gap_or_repeat(database: Database) -> None:
    added = add_runs(database, *[{}] * 7)
    seen: list[int] = []
    while page := run_ids(database, limit=3, before_id=seen[-1] if seen else None):
        seen += page
    assert seen == added[::-1]


def test_a_run_in_a_page_is_as_it_is_alone(database: Database) -> None:
    [id] = add_runs(database, {"counts": '{"product":{"read":3}}', "progress": '{"processed":3}'})
    with database.read() as conn:
        assert history.runs_page(conn, SHOP) == [runs.get(conn, id)]


# --- drift ---


def test_differences_come_newest_first_and_only_the_connections_own(database: Database) -> None:
    add_drift(database, {"item": "A"}, {"item": "B", "connection": "other"}, {"item": "C"})
    assert items(database) == ["C", "A"]


@pytest.mark.parametrize(
    "asked",
    [{"run_id": 2}, {"kind": "stock"}, {"cause": "late"}, {"change": "vanished"}],
    ids=lambda one: next(iter(one)),
)
def test_a_filter_keeps_the_differences_that_have_the_value(database: Database, asked: dict[str, Any]) -> None:
    add_drift(database, {"item": "A"}, {"item": "B", **asked})
    assert items(database, **asked) == ["B"]


def test_differences_may_be_asked_for_since_a_moment(database: Database) -> None:
    add_drift(database, {"item": "A", "found_at": NOW - HOUR}, {"item": "B"})
    assert items(database, since=NOW) == ["B"]


def test_pages_of_differences_follow_one_another_without_gap_or_repeat(database: Database) -> None:
    add_drift(database, *({"item": str(number)} for number in range(7)))
    seen: list[Difference] = []
    with database.read() as conn:
        while page := history.drift_page(
            conn, SHOP, DriftWanted(run_id=1, limit=3, before_id=seen[-1].id if seen else None)
        ):
            seen += page
    assert [row.item for row in seen] == ["6", "5", "4", "3", "2", "1", "0"]


def test_a_differences_fields_are_read(database: Database) -> None:
    add_drift(database, {})
    with database.read() as conn:
        assert history.drift_page(conn, SHOP)[0].fields == {"name": ["a", "b"]}


def test_a_summary_counts_by_kind_change_and_cause(database: Database) -> None:
    [run] = add_runs(database, {})
    add_drift(database, *({"run_id": run, "cause": cause} for cause in ("late", "missed", "missed")))
    with database.read() as conn:
        found = history.drift_summary(conn, SHOP, run)
        assert [(row.cause, row.rows) for row in found] == [("late", 1), ("missed", 2)]
        assert sum(row.rows for row in found) == len(drift.of_run(conn, run))


def test_the_summary_of_anothers_run_is_empty(database: Database) -> None:
    [run] = add_runs(database, {"connection": "other"})
    add_drift(database, {"run_id": run, "connection": "other"})
    with database.read() as conn:
        assert history.drift_summary(conn, SHOP, run) == []
