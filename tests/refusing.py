"""A database that refuses some rows, as a constraint that we do not know would."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.stores.sql.engine import Database


@contextmanager
def refusing(database: Database, event: str, table: str, when: str) -> Iterator[None]:
    """While the block runs, the database refuses every ``event`` ("INSERT", "UPDATE", "DELETE") of a row of a table that
    fits ``when``, a condition on NEW and OLD."""
    on_sqlite = database.dialect == "sqlite"
    trigger = f"CREATE TRIGGER refuse BEFORE {event} ON {table}"
    with database.begin() as conn:
        if on_sqlite:
            conn.exec_driver_sql(f"{trigger} WHEN {when} BEGIN SELECT RAISE(ABORT, 'refused'); END")
        else:
            body = "BEGIN RAISE check_violation; END"
            conn.exec_driver_sql(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
            conn.exec_driver_sql(f"{trigger} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()")
    try:
        yield
    finally:
        with database.begin() as conn:
            conn.exec_driver_sql("DROP TRIGGER refuse" if on_sqlite else "DROP FUNCTION refuse() CASCADE")
