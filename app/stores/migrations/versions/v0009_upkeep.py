"""The audit log may be archived, and nothing else of it removed; fingerprints of letters carry their connection."""

import hashlib

import sqlalchemy as sa
from alembic import op

from app.stores.migrations.columns import bigs, moments, words

revision = "0009"
down_revision = "0008"

_REFUSE = "the audit log is append-only"
_ARCHIVED = "EXISTS (SELECT 1 FROM audit_archives WHERE OLD.number BETWEEN first_number AND last_number)"


def upgrade() -> None:
    """Add the table of archives, let only archived entries go, and give letters the fingerprint they would get today."""
    op.create_table(
        "audit_archives",
        sa.Column("first_number", sa.BigInteger(), primary_key=True, autoincrement=False),
        *(*bigs("last_number"), *words("head", "file"), *moments("archived_at")),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_log_no_delete")
        _sqlite_trigger("audit_log", "DELETE", f"WHEN NOT {_ARCHIVED}")
        for event in ("UPDATE", "DELETE"):
            _sqlite_trigger("audit_archives", event)
    else:
        op.execute("DROP TRIGGER audit_log_append_only ON audit_log")
        op.execute(
            "CREATE FUNCTION audit_log_is_archived() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF {_ARCHIVED} THEN RETURN OLD; END IF; RAISE EXCEPTION '{_REFUSE}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_log_only_archived_go BEFORE DELETE ON audit_log "
            "FOR EACH ROW EXECUTE FUNCTION audit_log_is_archived()"
        )
        _postgresql_trigger("audit_log", "UPDATE OR TRUNCATE")
        _postgresql_trigger("audit_archives", "UPDATE OR DELETE OR TRUNCATE")
    _fingerprints()


def _sqlite_trigger(table: str, event: str, when: str = "") -> None:
    op.execute(
        f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} {when} BEGIN "
        f"SELECT RAISE(ABORT, '{_REFUSE}'); END"
    )


def _postgresql_trigger(table: str, events: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE {events} ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only()"
    )


def _fingerprints() -> None:
    """What ``rules.letters.fingerprint`` does since: a digest over the fingerprint as it was and the connection."""
    letters = sa.table("dead_letters", *map(sa.column, ("fingerprint", "connection", "error_type")))
    names = (letters.c.fingerprint, letters.c.connection, letters.c.error_type)
    known = sa.select(*names).where(letters.c.connection.is_not(None)).distinct()
    bind = op.get_bind()
    for row in bind.execute(known).all():
        digest = hashlib.blake2b(f"{row.fingerprint}\n{row.connection}".encode(), digest_size=4).hexdigest()
        mine = (column == value for column, value in zip(names, row, strict=True))
        bind.execute(sa.update(letters).where(*mine).values(fingerprint=f"{row.error_type}-{digest}"))
