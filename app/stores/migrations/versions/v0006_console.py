"""Dead letters that explain themselves, replays, access, the audit log, gaps and alerts."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NEW_TABLES = ("replays", "replay_items", "access_tokens", "users", "sessions", "audit_log", "gaps", "alerts")


def upgrade() -> None:
    """Add the columns and the tables."""
    op.add_column("attempts", _maybe("exchange"))
    _index_received("received_at", "connection", "verdict")
    _letters()
    _replays()
    _access()
    _audit_log()
    _watch()


def _index_received(*columns: str) -> None:
    op.drop_index("ix_inbox_received", "inbox_events")
    op.create_index("ix_inbox_received", "inbox_events", list(columns))


def _letters() -> None:
    for column in (_maybe("original_args"), _maybe("discard_reason")):
        op.add_column("dead_letters", column)
    for name in ("fingerprint", "place"):
        op.add_column("dead_letters", sa.Column(name, sa.String(), nullable=False, server_default=""))
    op.add_column("dead_letters", sa.Column("replay_id", sa.BigInteger(), nullable=True))
    op.add_column("dead_letters", _when("discarded_at", nullable=True))
    op.add_column("dead_letters", sa.Column("discarded_by", sa.String(), nullable=True))
    op.create_index("ix_dead_fingerprint", "dead_letters", ["fingerprint", "state"])
    op.create_index("ix_dead_replay", "dead_letters", ["replay_id"])
    # Letters of an older version have no traceback in a column: the type alone names what went wrong.
    op.execute("UPDATE dead_letters SET fingerprint = error_type WHERE fingerprint = ''")


def _replays() -> None:
    op.create_table(
        "replays",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        _text("name"),
        _text("of"),
        sa.Column("filter", sa.Text(), nullable=False),
        _text("status"),
        _number("rate"),
        sa.Column("canary", sa.Boolean(), nullable=False),
        _maybe("reason"),
        _number("letters"),
        _number("items"),
        _text("asked_by"),
        _when("asked_at"),
        *(_when(name, nullable=True) for name in ("started_at", "finished_at", "hinted_at")),
        sa.Column("token", sa.String(), nullable=True),
        _when("lease_until", nullable=True),
    )
    op.create_index("ix_replays_status", "replays", ["status"])
    op.create_table(
        "replay_items",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("replay_id", sa.BigInteger(), nullable=False),
        *(_text(name) for name in ("connection", "kind", "external_id")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("letter_id", "mark")),
        _text("state"),
        *(_when(name, nullable=True) for name in ("sent_at", "ended_at")),
        _maybe("error"),
        sa.UniqueConstraint("replay_id", "connection", "kind", "external_id", "letter_id"),
    )
    op.create_index("ix_replay_items_state", "replay_items", ["replay_id", "state", "id"])


def _access() -> None:
    op.create_table(
        "access_tokens",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        _text("name"),
        sa.Column("digest", sa.String(), nullable=False, unique=True),
        _text("hint"),
        _text("role"),
        _maybe("connections"),
        _when("created_at"),
        _text("created_by"),
        *(_when(name, nullable=True) for name in ("expires_at", "last_used_at", "revoked_at")),
        *(sa.Column(name, sa.String(), nullable=True) for name in ("last_used_from", "revoked_by")),
    )
    op.create_table(
        "users",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(), nullable=False, unique=True),
        sa.Column("password_hash", sa.Text(), nullable=False),
        _text("role"),
        _maybe("connections"),
        _when("created_at"),
        _text("created_by"),
        _number("failures"),
        *(_when(name, nullable=True) for name in ("disabled_at", "locked_until", "last_seen_at")),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(), primary_key=True, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in ("user_id", "token_id")),
        _text("csrf"),
        *(_when(name) for name in ("created_at", "seen_at", "expires_at")),
        _text("origin"),
    )


def _audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        _when("at"),
        *(_text(name) for name in ("who", "role", "origin", "action", "subject")),
        sa.Column("connection", sa.String(), nullable=True),
        *(_maybe(name) for name in ("before", "after", "why")),
        *(_text(name) for name in ("previous", "hash")),
    )
    if op.get_bind().dialect.name == "sqlite":
        for event in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_log_no_{event.lower()} BEFORE {event} ON audit_log BEGIN "
                "SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only()"
    )


def _watch() -> None:
    op.create_table(
        "gaps",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        *(_text(name) for name in ("connection", "reason", "state")),
        _when("began_at"),
        _when("ended_at", nullable=True),
        *(_number(name) for name in ("expected", "missed", "replayed")),
        _maybe("note"),
        _when("found_at"),
        *(_when(name, nullable=True) for name in ("tried_at", "closed_at")),
    )
    op.create_index("ix_gaps_connection", "gaps", ["connection", "began_at"])
    _unique_where("ix_gaps_open", "gaps", "connection", "state = 'open'")
    op.create_table(
        "alerts",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        _text("key"),
        sa.Column("connection", sa.String(), nullable=True),
        *(_text(name) for name in ("severity", "title")),
        sa.Column("detail", sa.Text(), nullable=False),
        _when("opened_at"),
        *(_when(name, nullable=True) for name in ("closed_at", "told_at", "claimed_until")),
    )
    _unique_where("ix_alerts_open", "alerts", "key", "closed_at IS NULL")
    op.create_index("ix_alerts_told", "alerts", ["told_at"])


def _unique_where(name: str, table: str, column: str, where: str) -> None:
    op.create_index(name, table, [column], unique=True, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def _maybe(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=True)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _when(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, Moment(), nullable=nullable)


def downgrade() -> None:
    """Take them away."""
    for table in reversed(_NEW_TABLES):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_log_is_append_only()")
    for index in ("ix_dead_replay", "ix_dead_fingerprint"):
        op.drop_index(index, "dead_letters")
    for name in (
        "original_args",
        "discard_reason",
        "fingerprint",
        "place",
        "replay_id",
        "discarded_at",
        "discarded_by",
    ):
        op.drop_column("dead_letters", name)
    op.drop_column("attempts", "exchange")
    _index_received("received_at")
