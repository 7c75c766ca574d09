"""No entry of the audit log is written over: SQLite's REPLACE deletes without asking the trigger that refuses deletions."""

from alembic import op

revision = "0021"
down_revision = "0020"

_KEYS = {"audit_log": "number", "audit_archives": "first_number"}


def upgrade() -> None:
    """Refuse an entry whose number there is already; PostgreSQL's ON CONFLICT is an update, which is refused already."""
    if op.get_bind().dialect.name != "sqlite":
        return
    for table, key in _KEYS.items():
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key}) BEGIN "
            "SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        )
