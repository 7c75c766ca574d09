"""Dead letters that explain themselves, replays, access, the audit log, gaps and alerts."""

import sqlalchemy as sa
from alembic import op

from app.stores.migrations.columns import (
    add,
    bigs,
    flags,
    keys,
    moments,
    numbers,
    row_id,
    texts,
    unique_where,
    words,
)

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns and the tables."""
    add("attempts", *texts("exchange", nullable=True))
    op.drop_index("ix_inbox_received", "inbox_events")
    op.create_index("ix_inbox_received", "inbox_events", ["received_at", "connection", "verdict"])
    _letters()
    _replays()
    _access()
    _audit_log()
    _watch()


def _letters() -> None:
    add("dead_letters", *texts("original_args", "discard_reason", nullable=True))
    add("dead_letters", *words("fingerprint", "place", default=""), *bigs("replay_id", nullable=True))
    add("dead_letters", *moments("discarded_at", nullable=True), *words("discarded_by", nullable=True))
    op.create_index("ix_dead_fingerprint", "dead_letters", ["fingerprint", "state"])
    op.create_index("ix_dead_replay", "dead_letters", ["replay_id"])
    # Letters of an older version have no traceback in a column: the type alone names what went wrong.
    op.execute("UPDATE dead_letters SET fingerprint = error_type WHERE fingerprint = ''")


def _replays() -> None:
    op.create_table(
        "replays",
        *(row_id(), *words("name", "of"), *texts("filter"), *words("status"), *numbers("rate"), *flags("canary")),
        *(*texts("reason", nullable=True), *numbers("letters", "items")),
        *(*words("asked_by"), *moments("asked_at")),
        *moments("started_at", "finished_at", "hinted_at", nullable=True),
        *(*words("token", nullable=True), *moments("lease_until", nullable=True)),
    )
    op.create_index("ix_replays_status", "replays", ["status"])
    op.create_table(
        "replay_items",
        *(row_id(), *bigs("replay_id"), *words("connection", "kind", "external_id")),
        *(*bigs("letter_id", "mark"), *words("state")),
        *(*moments("sent_at", "ended_at", nullable=True), *texts("error", nullable=True)),
        sa.UniqueConstraint("replay_id", "connection", "kind", "external_id", "letter_id"),
    )
    op.create_index("ix_replay_items_state", "replay_items", ["replay_id", "state", "id"])


def _access() -> None:
    op.create_table(
        "access_tokens",
        *(row_id(), *words("name", "digest", "hint", "role"), *texts("connections", nullable=True)),
        *(*moments("created_at"), *words("created_by")),
        *moments("expires_at", "last_used_at", "revoked_at", nullable=True),
        *words("last_used_from", "revoked_by", nullable=True),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "users",
        *(row_id(), *words("name"), *texts("password_hash"), *words("role"), *texts("connections", nullable=True)),
        *(*moments("created_at"), *words("created_by"), *numbers("failures")),
        *moments("disabled_at", "locked_until", "last_seen_at", nullable=True),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "sessions",
        *(*keys("digest"), *bigs("user_id", "token_id", nullable=True), *words("csrf")),
        *(*moments("created_at", "seen_at", "expires_at"), *words("origin")),
    )


def _audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        *(*moments("at"), *words("who", "role", "origin", "action", "subject")),
        *(*words("connection", nullable=True), *texts("before", "after", "why", nullable=True)),
        *words("previous", "hash"),
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
        *(row_id(), *words("connection", "reason", "state")),
        *(*moments("began_at"), *moments("ended_at", nullable=True), *numbers("expected", "missed", "replayed")),
        *(*texts("note", nullable=True), *moments("found_at"), *moments("tried_at", "closed_at", nullable=True)),
    )
    op.create_index("ix_gaps_connection", "gaps", ["connection", "began_at"])
    unique_where("ix_gaps_open", "gaps", ["connection"], "state = 'open'")
    op.create_table(
        "alerts",
        *(row_id(), *words("key"), *words("connection", nullable=True), *words("severity", "title")),
        *(*texts("detail"), *moments("opened_at")),
        *moments("closed_at", "told_at", "claimed_until", nullable=True),
    )
    unique_where("ix_alerts_open", "alerts", ["key"], "closed_at IS NULL")
    op.create_index("ix_alerts_told", "alerts", ["told_at"])
