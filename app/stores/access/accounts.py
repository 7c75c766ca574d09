"""Tokens, users and sessions; of a secret only a digest or a password hash is stored."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypedDict, Unpack

import msgspec
from sqlalchemy import Connection, delete, func, insert, or_, select, text, update

from app.domain import Role
from app.domain.decoding import convert
from app.rules.access.lockout import Tries
from app.stores import tables
from app.stores.sql.statements import is_sqlite, json_text

_TOKENS = tables.core(tables.AccessToken)
_USERS = tables.core(tables.User)
_SESSIONS = tables.core(tables.Session)
_LOCK = 7_215_093_323  # any number, but not the audit log's


class _Account(msgspec.Struct, frozen=True, kw_only=True):
    """What tokens and users have in common; ``connections`` is ``None`` for all, else sorted."""

    id: int
    name: str
    role: Role
    connections: tuple[str, ...] | None
    created_at: datetime
    created_by: str


class Token(_Account, frozen=True, kw_only=True):
    """A key for programs, without its digest; ``hint`` is how it begins."""

    hint: str
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str | None
    revoked_at: datetime | None
    revoked_by: str | None


class User(_Account, frozen=True, kw_only=True):
    """A person with a password, without its hash."""

    disabled_at: datetime | None
    failures: int
    failed_at: datetime | None
    locked_until: datetime | None
    last_seen_at: datetime | None

    @property
    def tries(self) -> Tries:
        """Wrong passwords for the name, from all places together."""
        return Tries(self.failures, self.failed_at, self.locked_until)


class UserWithHash(User, frozen=True, kw_only=True):
    """A user with the Argon2 hash of the password; never to be shown."""

    password_hash: str


class Session(msgspec.Struct, frozen=True):
    """A browser that signed in, and with what."""

    digest: str
    csrf: str
    seen_at: datetime
    owner: User | Token


class NewAccount(TypedDict):
    """What a new token and a new user have in common."""

    name: str
    role: Role
    connections: Iterable[str] | None
    created_at: datetime
    created_by: str


class UserColumns(TypedDict, total=False):
    """The columns of a user that may change."""

    password_hash: str
    disabled_at: datetime | None
    last_seen_at: datetime


def has_any(conn: Connection) -> bool:
    """Whether there is any token or user. Takes an advisory lock on PostgreSQL until the transaction ends, so that two
    processes starting together create one token."""
    if not is_sqlite(conn):
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    return any(conn.execute(select(func.count()).select_from(table)).scalar_one() for table in (_TOKENS, _USERS))


# --- tokens ---


def add_token(
    conn: Connection, *, digest: str, hint: str, expires_at: datetime | None, **account: Unpack[NewAccount]
) -> int:
    """Add a token; returns its id."""
    values = {**_packed(account), "digest": digest, "hint": hint, "expires_at": expires_at}
    return int(conn.execute(insert(_TOKENS).values(values).returning(_TOKENS.c.id)).scalar_one())


def tokens(conn: Connection) -> list[Token]:
    """Every token, newest first."""
    return [_token(row) for row in conn.execute(select(_TOKENS).order_by(_TOKENS.c.id.desc())).mappings()]


def token(conn: Connection, id: int) -> Token | None:
    """The token with this id, whether it is still valid or not."""
    row = conn.execute(select(_TOKENS).where(_TOKENS.c.id == id)).mappings().first()
    return None if row is None else _token(row)


def token_of(conn: Connection, digest: str, now: datetime) -> Token | None:
    """The token with this digest, unless it is revoked or expired."""
    return _valid_token(conn, _TOKENS.c.digest == digest, now)


def _valid_token(conn: Connection, which: Any, now: datetime) -> Token | None:
    alive = (_TOKENS.c.revoked_at.is_(None), or_(_TOKENS.c.expires_at.is_(None), _TOKENS.c.expires_at > now))
    row = conn.execute(select(_TOKENS).where(which, *alive)).mappings().first()
    return None if row is None else _token(row)


def record_use(conn: Connection, token_id: int, origin: str, now: datetime) -> None:
    """Record when and from where a token was last used."""
    conn.execute(update(_TOKENS).where(_TOKENS.c.id == token_id).values(last_used_at=now, last_used_from=origin))


def revoke_token(conn: Connection, id: int, principal: str, now: datetime) -> bool:
    """Revoke a token and end its sessions; ``False`` if it was revoked already."""
    conn.execute(delete(_SESSIONS).where(_SESSIONS.c.token_id == id))
    alive = update(_TOKENS).where(_TOKENS.c.id == id, _TOKENS.c.revoked_at.is_(None))
    return bool(conn.execute(alive.values(revoked_at=now, revoked_by=principal)).rowcount)


# --- users ---


def add_user(conn: Connection, *, password_hash: str, **account: Unpack[NewAccount]) -> int:
    """Add a user; returns the id. Raises ``IntegrityError`` for a name that is taken."""
    values = {**_packed(account), "password_hash": password_hash, "failures": 0}
    return int(conn.execute(insert(_USERS).values(values).returning(_USERS.c.id)).scalar_one())


def users(conn: Connection) -> list[User]:
    """Every user, by name."""
    rows = conn.execute(select(_USERS).order_by(_USERS.c.name)).mappings()
    return [convert(_unpacked(row), User) for row in rows]


def user(conn: Connection, name: str) -> UserWithHash | None:
    """The user with this name. On PostgreSQL the row is locked, so that guesses are counted one by one."""
    row = conn.execute(select(_USERS).where(_USERS.c.name == name).with_for_update()).mappings().first()
    return None if row is None else convert(_unpacked(row), UserWithHash)


def change_user(conn: Connection, id: int, **columns: Unpack[UserColumns]) -> None:
    """Change some of a user's columns."""
    conn.execute(update(_USERS).where(_USERS.c.id == id).values(**columns))


def set_tries(conn: Connection, user_id: int, tries: Tries) -> None:
    """Store the wrong passwords for a user, from all places together."""
    conn.execute(update(_USERS).where(_USERS.c.id == user_id).values(tries._asdict()))


# --- sessions ---


def add_session(conn: Connection, session: Session, *, expires_at: datetime, origin: str) -> None:
    """Add a session that begins at its ``seen_at``."""
    owner = {"user_id" if isinstance(session.owner, User) else "token_id": session.owner.id}
    times = {"created_at": session.seen_at, "seen_at": session.seen_at, "expires_at": expires_at}
    values = {"digest": session.digest, "csrf": session.csrf, "origin": origin, **owner, **times}
    conn.execute(insert(_SESSIONS).values(**values))


def session(conn: Connection, digest: str, now: datetime, idle_since: datetime) -> Session | None:
    """The session with this digest; ``None`` if it is over, or its user is disabled, or its token is no longer valid."""
    alive = (_SESSIONS.c.digest == digest, _SESSIONS.c.expires_at > now, _SESSIONS.c.seen_at > idle_since)
    row = conn.execute(select(_SESSIONS).where(*alive)).first()
    if row is None:
        return None
    if row.user_id is None:
        owner: User | Token | None = _valid_token(conn, _TOKENS.c.id == row.token_id, now)
    else:
        enabled = select(_USERS).where(_USERS.c.id == row.user_id, _USERS.c.disabled_at.is_(None))
        found = conn.execute(enabled).mappings().first()
        owner = None if found is None else convert(_unpacked(found), User)
    return None if owner is None else Session(row.digest, row.csrf, row.seen_at, owner)


def record_session_use(conn: Connection, digest: str, now: datetime) -> None:
    """Record when a session was last used."""
    conn.execute(update(_SESSIONS).where(_SESSIONS.c.digest == digest).values(seen_at=now))


def end_session(conn: Connection, digest: str) -> None:
    """End a session, if there is one with this digest."""
    conn.execute(delete(_SESSIONS).where(_SESSIONS.c.digest == digest))


def end_sessions_of(conn: Connection, user_id: int) -> None:
    """End every session of a user."""
    conn.execute(delete(_SESSIONS).where(_SESSIONS.c.user_id == user_id))


def remove_expired_sessions(conn: Connection, now: datetime) -> None:
    """Remove sessions that are over."""
    conn.execute(delete(_SESSIONS).where(_SESSIONS.c.expires_at <= now))


def _token(row: Any) -> Token:
    return convert(_unpacked(row), Token)


def _packed(columns: NewAccount) -> dict[str, Any]:
    """The columns with ``connections`` as a JSON list."""
    scope = columns["connections"]
    return {**columns, "connections": None if scope is None else json_text(sorted(scope))}


def _unpacked(row: Any) -> dict[str, Any]:
    scope = row["connections"]
    return {**row, "connections": None if scope is None else msgspec.json.decode(scope)}
