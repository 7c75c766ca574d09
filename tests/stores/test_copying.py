"""Moving to another database: every row of every table arrives as it was, or nothing does."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlmodel import SQLModel

from app.domain import StockCount, Vendor
from app.errors import Refused
from app.flows.upkeep.move_database import move_database
from app.stores import catalog
from app.stores.sql.engine import Database, open_database
from app.stores.upkeep import heartbeats
from tests.stores.filling import NOW, values_for

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def target(database: Database, sqlite_url: str, empty_sqlite_url: str, empty_postgres_url: str) -> Iterator[Database]:
    """An empty database of the other kind than ``database``."""
    url = empty_postgres_url if database.dialect == "sqlite" else empty_sqlite_url
    with closing(open_database(url)) as opened:
        yield opened


def fill(database: Database) -> None:
    """A row in every table, and records with what is hard to carry over."""
    with database.begin() as conn:
        for table in SQLModel.metadata.sorted_tables:
            values = values_for(table)
            conn.execute(insert(table), {**values, "seen_at": NOW} if table.name == "beats" else values)
        hard = Vendor(
            "v1", "Zoë 🍩 \\ \n'\"", extra='{"a":"\\u0000"}', version=2**62, modified_at=datetime(1, 1, 1, tzinfo=UTC)
        )
        count = StockCount("p1", "l1", "on_hand", Decimal("-0.00001"), version=1)
        catalog.apply(conn, "shop", [hard, count], read_at=NOW + timedelta(microseconds=1), now=NOW)


def every_row(database: Database) -> dict[str, list[Any]]:
    with database.read() as conn:
        return {
            table.name: sorted(map(tuple, conn.execute(select(table))), key=repr)
            for table in SQLModel.metadata.sorted_tables
        }


def move(source: Database, target: Database, now: datetime = LATER) -> int:
    return sum(one.rows for one in move_database(source, target, now, lambda *_: None))


def test_every_row_of_every_table_arrives_as_it_was(database: Database, target: Database) -> None:
    fill(database)
    move(database, target)
    assert every_row(target) == every_row(database)


def test_the_copy_is_counted(database: Database, target: Database) -> None:
    fill(database)
    assert move(database, target) == sum(len(rows) for rows in every_row(database).values())


def test_the_next_id_follows_the_last_one(database: Database, target: Database) -> None:
    fill(database)
    move(database, target)
    alerts = SQLModel.metadata.tables["alerts"]
    with target.begin() as conn:
        last = conn.execute(text("SELECT max(id) FROM alerts")).scalar_one()
        conn.execute(insert(alerts), {**values_for(alerts), "key": "another"})
        assert conn.execute(text("SELECT max(id) FROM alerts")).scalar_one() == last + 1


def test_a_target_that_has_rows_is_refused(database: Database, target: Database) -> None:
    fill(database)
    move(database, target)
    with pytest.raises(Refused, match="not empty"):
        move(database, target)


def test_a_row_that_arrives_otherwise_takes_the_whole_copy_back(database: Database, target: Database) -> None:
    fill(database)
    target.migrate()
    with target.begin() as conn:
        for statement in _damage(target.dialect):
            conn.exec_driver_sql(statement)
    with pytest.raises(Refused, match="vendors"):
        move(database, target)
    assert not any(every_row(target).values())


def test_a_database_that_somebody_works_on_is_not_copied(database: Database, target: Database) -> None:
    with database.begin() as conn:
        heartbeats.record(conn, "worker-7", "worker", NOW, NOW)
    with pytest.raises(Refused, match="worker-7"):
        move(database, target, NOW + timedelta(seconds=5))


def test_a_database_whose_processes_have_all_stopped_is_copied_at_once(database: Database, target: Database) -> None:
    with database.begin() as conn:
        heartbeats.record(conn, "worker-7", "worker", NOW, NOW)
        heartbeats.stop(conn, "worker-7", NOW)
    assert move(database, target, NOW) >= 1


def test_a_database_of_an_older_schema_is_not_copied(empty_sqlite_url: str, target: Database) -> None:
    with closing(open_database(empty_sqlite_url)) as old:
        old.migrate("0010")
        with pytest.raises(Refused, match="tallyhook migrate"):
            move(old, target)


def _damage(dialect: str) -> list[str]:
    """A trigger of somebody else's that changes what is written."""
    if dialect == "sqlite":
        return [
            "CREATE TRIGGER harm AFTER INSERT ON vendors BEGIN UPDATE vendors SET name = 'harmed', row_hash = 7; END"
        ]
    return [
        "CREATE FUNCTION harm() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := 'harmed'; RETURN NEW; END $$",
        "CREATE TRIGGER harm BEFORE INSERT ON vendors FOR EACH ROW EXECUTE FUNCTION harm()",
    ]
