"""A database that refuses some rows, as a constraint that we do not know would."""

from app.stores.sql.engine import Database


def refuse(database: Database, event: str, table: str, when: str) -> None:
    """Have the database refuse every ``event`` ("INSERT", "UPDATE") of a row of a table that fits ``when``, a condition on
    NEW and OLD."""
    with database.begin() as conn:
        if database.dialect == "sqlite":
            raising = "BEGIN SELECT RAISE(ABORT, 'refused'); END"
            conn.exec_driver_sql(f"CREATE TRIGGER refuse BEFORE {event} ON {table} WHEN {when} {raising}")
            return
        body = "BEGIN RAISE check_violation; END"
        conn.exec_driver_sql(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
        each = f"FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()"
        conn.exec_driver_sql(f"CREATE TRIGGER refuse BEFORE {event} ON {table} {each}")
