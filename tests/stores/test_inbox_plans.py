"""On SQLite the items of an event are looked up one by one, whatever the planner would think of it."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from app.domain import Role, Who
from app.rules.filters import parse
from app.stores import inbox_search
from app.stores.engine import open_database
from app.stores.tables import InboxEvent


@pytest.mark.parametrize("outcome", ["dead", "owed"])
def test_what_came_of_an_item_is_looked_up_by_the_whole_of_its_key(sqlite_url: str, outcome: str) -> None:
    terms = parse(f"outcome:{outcome}", inbox_search.KEYS)
    with closing(open_database(sqlite_url)) as database, database.read() as conn:
        found = inbox_search.where(conn, terms, Who("x", Role.ADMIN), now=datetime.now(UTC), connections=["shop"])
        asked = select(InboxEvent.__table__).where(*found).compile(conn, compile_kwargs={"literal_binds": True})  # type: ignore[attr-defined]
        plan = [row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}")]
    (looked_up,) = [step for step in plan if step.startswith("SEARCH o ")]
    assert "connection=? AND kind=? AND external_id=?" in looked_up
