"""The schema: migrations make exactly the tables that tables.py declares, once, and keep what is in them."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, Table, insert, text
from sqlmodel import SQLModel

from app.rules.letters.fingerprint import fingerprint
from app.stores import migrations, tables
from app.stores.sql.engine import Database, newest_revision, open_database
from tests.stores.filling import fill, rows_of_every_table, values_for

REVISIONS = sorted((Path(migrations.__file__).parent / "versions").glob("v*.py"))


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    with closing(open_database(empty_url)) as database:
        yield database


def test_the_migrated_schema_is_the_declared_one(database: Database) -> None:
    assert tables.CATALOG
    with database.read() as conn:
        assert compare_metadata(MigrationContext.configure(conn), SQLModel.metadata) == []


def test_an_empty_database_is_not_at_head(empty: Database) -> None:
    assert not empty.at_head()


def test_a_migrated_database_is_at_head(empty: Database) -> None:
    empty.migrate()
    assert empty.at_head()


def test_migrating_twice_changes_nothing(database: Database) -> None:
    before = rows_of_every_table(database)
    database.migrate()
    assert rows_of_every_table(database) == before


@pytest.mark.parametrize("revision", [file.stem[1:5] for file in REVISIONS])
def test_an_upgrade_keeps_every_row(empty: Database, revision: str) -> None:
    empty.migrate(revision)
    with empty.begin() as conn:
        fill(conn)
    before = rows_of_every_table(empty)
    empty.migrate()
    assert {name: len(rows) for name, rows in rows_of_every_table(empty).items() if name in before} == dict.fromkeys(
        before, 1
    )


def test_letters_get_the_fingerprint_that_they_would_get_today(empty: Database) -> None:
    empty.migrate("0006")
    error = ("RateLimited", "GET /x: 429 slow down", "app/a.py:f")
    old = {"error_type": error[0], "fingerprint": fingerprint(*error)}
    with empty.begin() as conn:
        letters = Table("dead_letters", MetaData(), autoload_with=conn)
        for number, connection in enumerate(("shop", "till", None, "shop")):
            named = {"id": number, "message_id": f"{number}", "connection": connection, "state": "dead"}
            conn.execute(insert(letters), {**values_for(letters), **old, **named})
    empty.migrate()
    with empty.read() as conn:
        found = conn.execute(text("SELECT connection, fingerprint FROM dead_letters ORDER BY id")).all()
    assert len(found) == 4
    assert all(row.fingerprint == fingerprint(*error, row.connection) for row in found)


@pytest.mark.parametrize("file", REVISIONS, ids=lambda file: file.stem)
def test_a_revision_does_not_depend_on_the_tables_of_today(file: Path) -> None:
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    ours = {node.module for node in nodes if (node.module or "").startswith("app")}
    assert ours <= {"app.stores.sql.columns", "app.stores.migrations.columns"}


def test_two_processes_may_migrate_at_once(empty_url: str) -> None:
    program = (
        f"from app.stores.sql.engine import open_database; d = open_database({empty_url!r}); "
        "input(); d.migrate(); assert d.at_head()"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outcomes = [process.communicate("\n", timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outcomes


def test_stock_levels_shows_the_states_side_by_side(database: Database) -> None:
    with database.begin() as conn:
        for state, quantity in (("on_hand", "7.5"), ("reserved", "2")):
            conn.execute(insert(_table("stock")), _stock(state=state, quantity=Decimal(quantity)))
        row = conn.execute(text("SELECT on_hand, on_order, reserved FROM stock_levels")).one()
    assert [None if value is None else Decimal(str(value)) for value in row] == [Decimal("7.5"), None, Decimal(2)]


def test_stock_levels_leaves_deleted_rows_out(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(insert(_table("stock")), _stock(deleted=True))
        assert conn.execute(text("SELECT count(*) FROM stock_levels")).scalar() == 0


def test_order_lines_shows_one_row_per_line(database: Database) -> None:
    lines = '[{"line_id":"1","kind":"sold","quantity":"1.5","unit_price":"0.33704","total_minor":51},{"line_id":"2"}]'
    _hold_order(database, lines=lines)
    with database.read() as conn:
        sql = "SELECT line_id, kind, quantity, unit_price, total_minor FROM order_lines ORDER BY position"
        rows = [[None if value is None else str(value) for value in row] for row in conn.execute(text(sql))]
    assert rows == [["1", "sold", "1.5", "0.33704", "51"], ["2", None, None, None, None]]


def test_an_order_line_has_the_sku_of_its_listing_where_the_source_tells_none(database: Database) -> None:
    _hold_order(
        database, connection="x", lines='[{"listing_id":"L"},{"listing_id":"L","sku":"OLD"},{"listing_id":"Z"}]'
    )
    with database.begin() as conn:
        named = {"connection": "x", "external_id": "L", "sku": "MUG"}
        conn.execute(insert(_table("listings")), {**values_for(_table("listings")), **named})
        skus = conn.execute(text("SELECT sku FROM order_lines ORDER BY position")).scalars().all()
    assert skus == ["MUG", "OLD", None]


def _hold_order(database: Database, **fields: Any) -> None:
    with database.begin() as conn:
        conn.execute(insert(_table("orders")), {**values_for(_table("orders")), "deleted": False, **fields})


OLD_LINES = '[{"line_id":"1","sku":null,"quantity":"2","unit_minor":1650,"currency":"USD","extra":{"note":"x"}}]'


def _upgraded_order(empty: Database, **fields: Any) -> Any:
    """An order as the schema before its money left it, after the upgrade."""
    empty.migrate("0010")
    with empty.begin() as conn:
        orders = Table("orders", MetaData(), autoload_with=conn)
        conn.execute(insert(orders), {**values_for(orders), "deleted": False, "version": 7, **fields})
        marks = Table("watermarks", MetaData(), autoload_with=conn)
        conn.execute(insert(marks), [{**values_for(marks), "kind": kind} for kind in ("order", "vendor")])
    empty.migrate()
    with empty.read() as conn:
        return conn.execute(text("SELECT version, lines FROM orders")).one()


def test_an_old_line_keeps_its_price_as_an_exact_one(empty: Database) -> None:
    line = {"line_id": "1", "quantity": "2", "currency": "USD", "extra": {"note": "x"}, "kind": "sold"}
    assert json.loads(_upgraded_order(empty, type="sale", lines=OLD_LINES).lines) == [{**line, "unit_price": "16.5"}]


def test_an_old_returned_line_comes_back(empty: Database) -> None:
    (line,) = json.loads(_upgraded_order(empty, type="return", lines=OLD_LINES).lines)
    assert (line["kind"], line["quantity"]) == ("returned", "-2")


def test_old_orders_will_be_read_anew(empty: Database) -> None:
    assert _upgraded_order(empty, lines=None).version == 0
    with empty.read() as conn:
        assert conn.execute(text("SELECT kind FROM watermarks")).scalars().all() == ["vendor"]


def test_a_deleted_order_stays_as_deleted_as_it_was(empty: Database) -> None:
    assert _upgraded_order(empty, deleted=True).version == 7


def test_an_order_without_lines_has_no_order_lines(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(insert(_table("orders")), {**values_for(_table("orders")), "deleted": False, "lines": None})
        assert conn.execute(text("SELECT count(*) FROM order_lines")).scalar() == 0


def _table(name: str) -> Table:
    return SQLModel.metadata.tables[name]


def _stock(**changed: Any) -> dict[str, Any]:
    return {**values_for(_table("stock")), "deleted": False, **changed}


def test_the_newest_migration_is_the_one_that_alembic_ends_with() -> None:
    assert ScriptDirectory("app/stores/migrations").get_heads() == [newest_revision()]
