"""Questions that take minutes on either database: as good as endless for a test, and over by themselves if it fails."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.stores.sql.engine import Database

ENDLESS = {
    "sqlite": "(WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1200000000) SELECT max(x) FROM n)",
    "postgresql": "(SELECT length(pg_sleep(180)::text))",
}
"""An expression with a number as its value, in the end."""


def question(database: Database) -> str:
    """A statement that asks it."""
    return f"SELECT {ENDLESS[database.dialect]}"


@contextmanager
def endless(database: Database, table: str) -> Iterator[None]:
    """Every read of a table, which must have a row, takes that long; of no other table."""
    with database.begin() as conn:
        conn.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {table}_itself")
        conn.exec_driver_sql(
            f"CREATE VIEW {table} AS SELECT * FROM {table}_itself WHERE {ENDLESS[database.dialect]} >= 0"
        )
    try:
        yield
    finally:
        with database.begin() as conn:
            conn.exec_driver_sql(f"DROP VIEW {table}")
            conn.exec_driver_sql(f"ALTER TABLE {table}_itself RENAME TO {table}")
