"""Tokens, users and sessions; of every secret only a digest or a password hash is here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, or_, select, text, update
from sqlmodel import SQLModel

from app.stores import tables
from app.stores.sql.statements import is_sqlite

_TOKENS = SQLModel.metadata.tables[str(tables.AccessToken.__tablename__)]
_USERS = SQLModel.metadata.tables[str(tables.User.__tablename__)]
_SESSIONS = SQLModel.metadata.tables[str(tables.Session.__tablename__)]
_LOCK = 7_215_093_323  # any number of our own, beside the audit log's


def anybody(conn: Connection) -> bool:
    """Whether there is any token or user; on PostgreSQL others who ask wait until this transaction ends, so that of two
    first starts one is the first."""
    if not is_sqlite(conn):
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    return any(conn.execute(select(func.count()).select_from(table)).scalar_one() for table in (_TOKENS, _USERS))


# --- tokens ---


def add_token(conn: Connection, **told: Any) -> int:
    """A new token (the columns of ``tables.AccessToken``); returns its number."""
    return int(conn.execute(insert(_TOKENS).values(**_packed(told)).returning(_TOKENS.c.id)).scalar_one())


def tokens(conn: Connection) -> list[dict[str, Any]]:
    """Every token, newest first, without its digest."""
    shown = [column for column in _TOKENS.c if column.name != "digest"]
    return [_unpacked(row) for row in conn.execute(select(*shown).order_by(_TOKENS.c.id.desc())).mappings()]


def token(conn: Connection, id: int) -> dict[str, Any] | None:
    """One token, without its digest."""
    return next((one for one in tokens(conn) if one["id"] == id), None)


def token_of(conn: Connection, digest: str, now: datetime) -> dict[str, Any] | None:
    """The token with this digest, unless it is revoked or expired."""
    alive = (_TOKENS.c.revoked_at.is_(None), or_(_TOKENS.c.expires_at.is_(None), _TOKENS.c.expires_at > now))
    row = conn.execute(select(_TOKENS).where(_TOKENS.c.digest == digest, *alive)).mappings().first()
    return None if row is None else _unpacked(row)


def token_used(conn: Connection, id: int, origin: str, now: datetime) -> None:
    """Note when and from where a token was used last."""
    conn.execute(update(_TOKENS).where(_TOKENS.c.id == id).values(last_used_at=now, last_used_from=origin))


def revoke_token(conn: Connection, id: int, who: str, now: datetime) -> bool:
    """Let a token, and the sessions that began with it, open nothing any more; ``False`` when it was so already."""
    conn.execute(delete(_SESSIONS).where(_SESSIONS.c.token_id == id))
    alive = update(_TOKENS).where(_TOKENS.c.id == id, _TOKENS.c.revoked_at.is_(None))
    return bool(conn.execute(alive.values(revoked_at=now, revoked_by=who)).rowcount)


# --- users ---


def add_user(conn: Connection, **told: Any) -> int:
    """A new user (the columns of ``tables.User``); returns its number. A taken name is an ``IntegrityError``."""
    return int(conn.execute(insert(_USERS).values(**_packed(told)).returning(_USERS.c.id)).scalar_one())


def users(conn: Connection) -> list[dict[str, Any]]:
    """Every user by name, without the password's hash."""
    shown = [column for column in _USERS.c if column.name != "password_hash"]
    return [_unpacked(row) for row in conn.execute(select(*shown).order_by(_USERS.c.name)).mappings()]


def user(conn: Connection, name: str) -> dict[str, Any] | None:
    """One user whole; on PostgreSQL its row is locked, so that guesses are counted one by one."""
    row = conn.execute(select(_USERS).where(_USERS.c.name == name).with_for_update()).mappings().first()
    return None if row is None else _unpacked(row)


def change_user(conn: Connection, id: int, **told: Any) -> None:
    """Change some of a user's columns."""
    conn.execute(update(_USERS).where(_USERS.c.id == id).values(**_packed(told)))


# --- sessions ---


def add_session(conn: Connection, **told: Any) -> None:
    """A browser that signed in (the columns of ``tables.Session``)."""
    conn.execute(insert(_SESSIONS).values(**told))


def session(conn: Connection, digest: str, now: datetime, idle_since: datetime) -> dict[str, Any] | None:
    """A session that is not over, with its ``user`` or ``token``; ``None`` also if that one may come in no longer."""
    alive = (_SESSIONS.c.digest == digest, _SESSIONS.c.expires_at > now, _SESSIONS.c.seen_at > idle_since)
    row = conn.execute(select(_SESSIONS).where(*alive)).mappings().first()
    if row is None:
        return None
    if row["user_id"] is not None:
        mine = select(_USERS).where(_USERS.c.id == row["user_id"], _USERS.c.disabled_at.is_(None))
    else:
        still = or_(_TOKENS.c.expires_at.is_(None), _TOKENS.c.expires_at > now)
        mine = select(_TOKENS).where(_TOKENS.c.id == row["token_id"], _TOKENS.c.revoked_at.is_(None), still)
    owner = conn.execute(mine).mappings().first()
    kind = "user" if row["user_id"] is not None else "token"
    return None if owner is None else {**row, "kind": kind, "owner": _unpacked(owner)}


def session_seen(conn: Connection, digest: str, now: datetime) -> None:
    """Note that a session is in use."""
    conn.execute(update(_SESSIONS).where(_SESSIONS.c.digest == digest).values(seen_at=now))


def end_session(conn: Connection, digest: str) -> None:
    """End a session."""
    conn.execute(delete(_SESSIONS).where(_SESSIONS.c.digest == digest))


def end_sessions_of(conn: Connection, user_id: int) -> None:
    """End every session of a user."""
    conn.execute(delete(_SESSIONS).where(_SESSIONS.c.user_id == user_id))


def forget_old_sessions(conn: Connection, now: datetime) -> None:
    """Remove sessions that are over."""
    conn.execute(delete(_SESSIONS).where(_SESSIONS.c.expires_at <= now))


def _packed(told: dict[str, Any]) -> dict[str, Any]:
    if told.get("connections") is None:
        return told
    return {**told, "connections": msgspec.json.encode(sorted(told["connections"])).decode()}


def _unpacked(row: Any) -> dict[str, Any]:
    listed = row["connections"]
    return {**row, "connections": None if listed is None else frozenset(msgspec.json.decode(listed))}
