"""On SQLite the items of an event are looked up one by one, whatever the planner would think of it, and none in vain."""

from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from app.domain import Principal, Role
from app.rules.filters import parse
from app.stores.inbox import inbox_search
from app.stores.sql.engine import open_database
from app.stores.tables import InboxEvent

ADMIN = Principal("x", Role.ADMIN)
CAME = (
    """INSERT INTO settlements (connection, kind, external_id, cause, outcome, changes, attempts, first_seen_at, settled_at)
    VALUES ('shop', 'product', 'A', 'webhook', 'dead', 1, 0, '2026-03-01', '2026-03-01')""",
    """INSERT INTO owed_items (connection, kind, external_id, cause, rev, version, attempts, kills, first_seen_at, next_at)
    VALUES ('shop', 'product', 'A', 'webhook', 1, 0, 0, 0, '2026-03-01', '2026-03-01')""",
)
"""One thing that died, one that is owed."""
EVENTS = """
    INSERT INTO inbox_events (connection, event_id, type, received_at, verdict, items, headers, body)
    SELECT 'shop', key, 'product.updated', '2026-03-01 12:00:00.000000', 'accepted', '[["product","A"]]', '{}', x'7b7d'
    FROM json_each('[' || substr(replace(hex(zeroblob(2000)), '00', ',1'), 2) || ']')
"""
ONE_EVENT = """
    INSERT INTO inbox_events (connection, event_id, type, received_at, verdict, items, headers, body)
    VALUES ('shop', 'one', 'product.updated', '2026-02-01 12:00:00.000000', 'accepted', '[["product","A"]]', '{}', x'7b7d')
"""


@pytest.mark.parametrize("outcome", ["dead", "owed"])
def test_what_came_of_an_item_is_looked_up_by_the_whole_of_its_key(sqlite_url: str, outcome: str) -> None:
    terms = parse(f"outcome:{outcome}", inbox_search.KEYS)
    with closing(open_database(sqlite_url)) as database, database.begin() as conn:
        for came in (*CAME, EVENTS):
            conn.exec_driver_sql(came)
        found = inbox_search.where(conn, terms, ADMIN, now=datetime.now(UTC), connections=["shop"])
        asked = select(InboxEvent.__table__).where(*found).compile(conn, compile_kwargs={"literal_binds": True})  # type: ignore[attr-defined]
        plan = [row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}")]
    (looked_up,) = [step for step in plan if step.startswith("SEARCH o ")]
    assert "connection=? AND kind=? AND external_id=?" in looked_up


@pytest.mark.parametrize("outcome", ["gone", "owed"])
def test_where_an_outcome_never_came_no_event_is_looked_at(sqlite_url: str, outcome: str) -> None:
    looks: list[int] = []
    with closing(open_database(sqlite_url)) as database, database.read() as conn:
        found = inbox_search.where(
            conn, parse(f"outcome:{outcome}", inbox_search.KEYS), ADMIN, now=datetime.now(UTC), connections=["shop"]
        )
    with closing(open_database(sqlite_url)) as database, database.begin() as conn:
        conn.exec_driver_sql(EVENTS)
        conn.connection.dbapi_connection.set_progress_handler(lambda: looks.append(1), 1_000)  # type: ignore[union-attr]
        assert inbox_search.page(conn, found) == []
    assert len(looks) < 5


def test_an_outcome_of_before_the_time_asked_for_has_no_event_looked_at(sqlite_url: str) -> None:
    looks: list[int] = []
    with closing(open_database(sqlite_url)) as database, database.begin() as conn:
        for came in (*CAME, EVENTS):
            conn.exec_driver_sql(came)
        conn.connection.dbapi_connection.set_progress_handler(lambda: looks.append(1), 1_000)  # type: ignore[union-attr]
        terms = parse("outcome:dead since:2026-03-01T01:00", inbox_search.KEYS)
        found = inbox_search.where(conn, terms, ADMIN, now=datetime.now(UTC), connections=["shop"])
        assert inbox_search.page(conn, found) == []
    assert len(looks) < 5


def test_deliveries_of_a_rare_outcome_are_looked_up_by_their_number(sqlite_url: str) -> None:
    terms = parse("outcome:dead", inbox_search.KEYS)
    with closing(open_database(sqlite_url)) as database, database.begin() as conn:
        for came in (CAME[0], ONE_EVENT):
            conn.exec_driver_sql(came)
        found = inbox_search.where(conn, terms, ADMIN, now=datetime.now(UTC), connections=["shop"])
        asked = select(InboxEvent.__table__).where(*found).compile(conn, compile_kwargs={"literal_binds": True})  # type: ignore[attr-defined]
        plan = [row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}")]
    assert plan[0] == "SEARCH inbox_events USING INTEGER PRIMARY KEY (rowid=?)"
