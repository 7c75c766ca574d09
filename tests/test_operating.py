"""What docs/operating.md tells people to type does what it says, and the tables that it names are there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import inspect

from app.domain import Listing, Vendor
from app.stores import catalog
from app.stores.sql.engine import Database, open_database
from app.stores.tables import CATALOG
from tests.stores.filling import NOW, rows_of_every_table

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "operating.md").read_text()


def block(name: str) -> str:
    """The commands under a mark."""
    match = re.search(rf"^ *```sh {name}\n(.*?)^ *```", GUIDE, re.MULTILINE | re.DOTALL)
    assert match, name
    return match[1]


def type_in(folder: Path, commands: str, **settings: str) -> None:
    """Run commands as a person would, in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOOK_")}
    environment |= {"PATH": f"{folder / 'bin'}:{environment['PATH']}", "PYTHONPATH": str(ROOT), **settings}
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def programs(folder: Path, **texts: str) -> None:
    """Commands that this machine may have elsewhere, or not at all, under their own names."""
    (folder / "bin").mkdir()
    for name, text in texts.items():
        file = folder / "bin" / name
        file.write_text(text)
        file.chmod(0o755)


def tallyhook() -> str:
    return f'#!/bin/sh\nexec {sys.executable} -m app.cli "$@"\n'


SQLITE3 = f"""#!{sys.executable}
import sqlite3, sys
sqlite3.connect(sys.argv[1], isolation_level=None).execute(sys.argv[2])
"""
"""The one thing of the ``sqlite3`` program that is used here: a statement on a file."""


def fill(database: Database, name: str = "before") -> None:
    with database.begin() as conn:
        catalog.apply(conn, "shop", [Vendor(name, name, version=1)], read_at=NOW, now=NOW)


def names(database: Database) -> list[str]:
    return sorted(str(row.external_id) for row in rows_of_every_table(database)["vendors"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path


def test_a_backup_of_sqlite_restores_what_was_there(folder: Path) -> None:
    programs(folder, sqlite3=SQLITE3)
    file = folder / "data" / "tallyhook.db"
    with closing(open_database(f"sqlite:///{file}")) as database:
        database.migrate()
        fill(database)
        type_in(folder, block("backup-sqlite"))  # while the database is open
        fill(database, "after")
    type_in(folder, block("restore-sqlite"))
    with closing(open_database(f"sqlite:///{file}")) as restored:
        assert names(restored) == ["before"]


def test_a_backup_of_postgresql_restores_what_was_there(
    folder: Path, empty_postgres_url: str, pg_programs: Mapping[str, str]
) -> None:
    programs(folder, **pg_programs)
    with closing(open_database(empty_postgres_url)) as database:
        database.migrate()
        fill(database)
        type_in(folder, block("backup-postgresql"), TALLYHOOK_DATABASE_URL=empty_postgres_url)
    with psycopg.connect(empty_postgres_url, autocommit=True) as conn:
        conn.execute("DROP SCHEMA public CASCADE")
        conn.execute("CREATE SCHEMA public")
    type_in(folder, block("restore-postgresql"), TALLYHOOK_DATABASE_URL=empty_postgres_url)
    with closing(open_database(empty_postgres_url)) as restored:
        assert (names(restored), restored.at_head()) == (["before"], True)


def test_everything_moves_to_another_database(folder: Path, sqlite_url: str, empty_postgres_url: str) -> None:
    programs(folder, tallyhook=tallyhook())
    shutil.copy(sqlite_url.removeprefix("sqlite:///"), folder / "data" / "tallyhook.db")
    with closing(open_database(f"sqlite:///{folder / 'data' / 'tallyhook.db'}")) as database:
        fill(database)
    type_in(folder, block("copy"), NEW_DATABASE_URL=empty_postgres_url)
    with closing(open_database(empty_postgres_url)) as moved:
        assert names(moved) == ["before"]


def test_the_tables_that_people_may_query_are_the_catalog_and_its_views(database: Database) -> None:
    section = GUIDE.split("## Tables and views that you may query")[1].split("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    with database.read() as conn:
        views = set(inspect(conn).get_view_names())
    assert documented == {row.name for row in CATALOG.values()} | views


def test_every_column_of_a_product_is_documented(database: Database) -> None:
    section = GUIDE.split("The columns of `listings`:")[1].split("\n## ")[0]
    with database.read() as conn:
        columns = {column["name"] for column in inspect(conn).get_columns("listings")}
    ours = {"deleted", "version", "modified_at", "row_hash", "read_at", "written_at"}
    assert columns - ours - set(re.findall(r"`(\w+)`", section)) == set()


def test_the_queries_of_the_guide_show_the_first_image(database: Database) -> None:
    queries = re.search(r"```sql\n(.*?)```", GUIDE, re.DOTALL)
    assert queries is not None
    of_sqlite, of_postgresql = queries[1].strip().splitlines()
    mug = Listing("V1", sku="MUG", images='[{"id":"P1","url":"https://x.example/1.jpg"}]', version=1)
    with database.begin() as conn:
        catalog.apply(conn, "shop", [mug], read_at=NOW, now=NOW)
        rows = conn.exec_driver_sql(of_sqlite if database.dialect == "sqlite" else of_postgresql).all()
    assert [tuple(row) for row in rows] == [("MUG", "https://x.example/1.jpg")]
