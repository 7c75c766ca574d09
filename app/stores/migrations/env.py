"""Alembic's entry: runs the revisions on the connection (and in the transaction) that ``Database.migrate`` opened.

To write a new revision after a change in ``tables.py``, give a migrated database of your own:
``alembic -x database=sqlite:///scratch.db revision --autogenerate -m "what changes"``.
"""

from alembic import context
from sqlalchemy import Connection
from sqlmodel import SQLModel

from app.stores import tables
from app.stores.sql.engine import open_database

assert tables.CATALOG  # noqa: S101  # the import is what fills SQLModel.metadata


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


def _run_from_command_line() -> None:
    database = open_database(context.get_x_argument(as_dictionary=True)["database"])
    with database.begin() as connection:
        _run(connection)
    database.close()


given = context.config.attributes.get("connection")
if given is None:
    _run_from_command_line()
else:
    _run(given)
