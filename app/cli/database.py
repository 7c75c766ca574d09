"""Commands about the database itself: its schema, and moving everything to another database."""

from contextlib import closing
from typing import Annotated

import typer
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from app.cli.console import AsJson, done, stderr
from app.cli.here import check_database_here, settings_here
from app.errors import Conflict
from app.flows.upkeep.move_database import move_database
from app.local.private import close_folder
from app.stores.sql.clock import DatabaseClock
from app.stores.sql.engine import Database, open_database
from app.stores.sql.urls import check_folder


def migrate(as_json: AsJson = False) -> None:
    """Bring the database schema to the newest version."""
    settings = settings_here()
    if settings.database_url is None:
        close_folder(settings.data_dir)
    check_folder(settings.database())
    with closing(open_database(settings.database())) as database:
        database.migrate()
        facts = {"dialect": database.dialect, "at_head": database.at_head()}
    done("The database schema is up to date.", facts, as_json=as_json)


def copy_database(
    url: Annotated[str, typer.Argument(help="URL of an empty database, e.g. postgresql://user:password@host/name")],
    as_json: AsJson = False,
) -> None:
    """Copy everything into an empty database (SQLite or PostgreSQL), and check that every row arrived.

    Stop web, workers and clock first; afterwards start them with TALLYHOOK_DATABASE_URL set to the new database. The
    old one is left as it is.
    """
    settings = settings_here()
    check_database_here(settings)
    check_folder(url)
    with closing(open_database(settings.database())) as source, closing(open_database(url)) as target:
        if source.engine.url == target.engine.url:
            raise Conflict("this database is in use; name another, empty one")
        rows = _copy(source, target)
    sentence = (
        f"Copied {rows:,} rows; every one arrived unchanged. "
        "Set TALLYHOOK_DATABASE_URL to the new database and start again."
    )
    done(sentence, {"rows": rows}, as_json=as_json)


def _copy(source: Database, target: Database) -> int:
    columns = (TextColumn("copying {task.description}"), TextColumn("{task.completed:,} rows"), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as progress:
        bar = progress.add_task("")

        def tell(table: str, rows: int) -> None:
            progress.update(bar, description=table, completed=rows)

        return sum(one.rows for one in move_database(source, target, DatabaseClock(source).now(), tell))
