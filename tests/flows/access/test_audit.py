"""The audit log: every entry is chained, the database refuses edits, and verifying finds what was edited anyway."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.domain import Principal, Role
from app.flows.access import audit
from app.stores.access import audit as log
from app.stores.sql.engine import Database
from tests.fakes import World

ANNA = Principal("user anna", Role.OPERATOR, origin="192.0.2.7")


def noted(world: World, count: int) -> World:
    deps = replace(world.deps, principal=ANNA, redact=lambda text: text.replace("hunter2", "(removed)"))
    for number in range(count):
        with world.database.begin() as conn:
            audit.note(
                deps, conn, "letters.discard", f"letter {number}", before={"state": "dead"}, why="hunter2 leaked"
            )
    return world


def tamper(conn: Connection, sql: str) -> None:
    """As somebody with the database's own rights would, past the trigger."""
    if conn.dialect.name == "sqlite":
        for event in ("update", "delete"):
            conn.execute(text(f"DROP TRIGGER audit_log_no_{event}"))
    else:
        conn.execute(text("SET session_replication_role = replica"))
    conn.execute(text(sql))


def test_an_entry_says_who_did_what_why_and_from_where(database: Database) -> None:
    world = noted(World(database), 1)
    with database.read() as conn:
        (entry,) = log.entries(conn)
    result = {
        name: getattr(entry, name)
        for name in ("number", "who", "role", "origin", "action", "subject", "before", "at")
    }
    assert result == {
        **{"number": 1, "who": "user anna", "role": "operator", "origin": "192.0.2.7", "action": "letters.discard"},
        **{"subject": "letter 0", "before": {"state": "dead"}, "at": world.clock()},
    }


def test_a_secret_is_not_written_into_the_log(database: Database) -> None:
    noted(World(database), 1)
    with database.read() as conn:
        assert log.entries(conn)[0].why == "(removed) leaked"


def test_an_untouched_chain_is_whole(database: Database) -> None:
    world = noted(World(database), 5)
    verdict = audit.verify(world.deps)
    assert (verdict.entries, verdict.broken) == (5, None)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_log SET why = 'x' WHERE number = 2",
        "DELETE FROM audit_log",
        "INSERT INTO audit_log SELECT * FROM audit_log WHERE true ON CONFLICT (number) DO UPDATE SET who = 'nobody'",
    ],
)
def test_the_database_refuses_to_change_an_entry(database: Database, sql: str) -> None:
    noted(World(database), 3)
    with pytest.raises(DBAPIError, match="append-only"), database.begin() as conn:
        conn.execute(text(sql))


def test_no_entry_is_written_over_by_sqlites_replace(database: Database) -> None:
    if database.dialect != "sqlite":
        return  # PostgreSQL has none
    noted(World(database), 3)
    with pytest.raises(DBAPIError, match="append-only"), database.begin() as conn:
        conn.execute(text("REPLACE INTO audit_log SELECT * FROM audit_log WHERE number = 2"))


@pytest.mark.parametrize(
    ("sql", "broken"),
    [
        ("UPDATE audit_log SET who = 'nobody' WHERE number = 2", 2),
        ("UPDATE audit_log SET after = '{}' WHERE number = 3", 3),
        ("UPDATE audit_log SET connection = 'x' WHERE number = 1", 1),
        ("DELETE FROM audit_log WHERE number = 2", 3),
        ("DELETE FROM audit_log WHERE number = 1", 2),
        ("UPDATE audit_log SET previous = hash WHERE number = 3", 3),
    ],
)
def test_verifying_finds_an_edit(database: Database, sql: str, broken: int) -> None:
    world = noted(World(database), 4)
    with database.begin() as conn:
        tamper(conn, sql)
    assert audit.verify(world.deps).broken == broken


def test_a_head_kept_elsewhere_shows_that_the_end_was_cut_off(database: Database) -> None:
    world = noted(World(database), 4)
    head = audit.verify(world.deps).head
    noted(world, 1)
    assert audit.verify(world.deps, head).broken is None
    with database.begin() as conn:
        tamper(conn, "DELETE FROM audit_log WHERE number >= 4")
    assert "cut off" in (audit.verify(world.deps, head).problem or "")


def test_entries_written_at_once_form_one_chain(database: Database) -> None:
    world = World(database)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: noted(world, 10), range(8)))
    verdict = audit.verify(world.deps)
    assert (verdict.entries, verdict.broken) == (80, None)
