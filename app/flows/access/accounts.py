"""Who may sign in: tokens for programs, users with passwords, and the first key of an installation."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Unpack

from argon2 import PasswordHasher
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.domain import Role
from app.errors import Conflict, Forbidden, InvalidRequest, NotFound
from app.flows.access import audit
from app.flows.deps import Deps
from app.rules.access.lockout import Tries
from app.stores.access import accounts, sign_ins
from app.stores.access.accounts import Token, User, UserColumns

PREFIX = "th_"
"""How every token begins, so that secret scanners recognise it."""

DAYS = 90
"""How long a token lives by default."""

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 500
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,99}")

HASHER = PasswordHasher()
"""Argon2id with the library's parameters (RFC 9106, low memory)."""


def digest_of(secret: str) -> str:
    """What we keep of a token or cookie: SHA-256, hex. Both are 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_token(
    deps: Deps, name: str, role: Role, *, connections: Iterable[str] | None = None, days: int | None = DAYS
) -> tuple[int, str]:
    """Create a token; returns its id and the token itself, which is shown only here.

    ``connections`` limits it to these; ``days`` is how long it lives, ``None`` for ever. Raises ``InvalidRequest``.
    """
    _for_all(deps)
    scope = _scope(deps, connections)
    if days is not None and not 1 <= days <= 3650:
        raise InvalidRequest("a token lives 1 to 3650 days, or for ever")
    with deps.database.begin() as conn:
        return _create(deps, conn, _valid_name(name), role, scope, days)


def first_token(deps: Deps) -> str | None:
    """The admin token of a first start; ``None`` if there is a token or user already."""
    with deps.database.begin() as conn:
        if accounts.has_any(conn):
            return None
        return _create(deps, conn, "first start", Role.ADMIN, None, None)[1]


def revoke_token(deps: Deps, token_id: int) -> None:
    """Revoke a token. Raises ``NotFound`` if there is none, or it is revoked already."""
    _for_all(deps)
    with deps.database.begin() as conn:
        token = accounts.token(conn, token_id)
        if token is None:
            raise NotFound(f"there is no token {token_id}", "token")
        if not accounts.revoke_token(conn, token_id, deps.principal.name, deps.now()):
            raise Conflict(f"token {token_id} is revoked already")
        audit.note(deps, conn, "tokens.revoke", f"token {token_id}", before={"name": token.name})


def list_tokens(deps: Deps) -> list[Token]:
    """Every token, newest first, without the secret."""
    _for_all(deps)
    with deps.database.read() as conn:
        return accounts.tokens(conn)


def add_user(deps: Deps, name: str, password: str, role: Role, *, connections: Iterable[str] | None = None) -> int:
    """Add a user; returns the id. Raises ``Conflict`` for a taken name or a password that is too short or too long."""
    _for_all(deps)
    scope = _scope(deps, connections)
    valid_name, password_hash = _valid_name(name), _hashed(password)
    try:
        with deps.database.begin() as conn:
            user_id = accounts.add_user(
                conn,
                name=valid_name,
                password_hash=password_hash,
                role=role,
                connections=scope,
                created_at=deps.now(),
                created_by=deps.principal.name,
            )
            after = {"role": str(role), "connections": None if scope is None else sorted(scope)}
            audit.note(deps, conn, "users.add", f"user {valid_name}", after=after)
    except IntegrityError:
        raise Conflict(f"there is a user {name!r} already") from None
    return user_id


def set_password(deps: Deps, name: str, password: str) -> None:
    """Give a user another password. Every session of the user ends, and earlier wrong guesses no longer count."""
    _change(deps, name, "users.password", unlock=True, password_hash=_hashed(password))


def disable_user(deps: Deps, name: str) -> None:
    """Keep a user from signing in; every session of the user ends."""
    _change(deps, name, "users.disable", disabled_at=deps.now())


def enable_user(deps: Deps, name: str) -> None:
    """Let a user sign in again; earlier wrong guesses no longer count."""
    _change(deps, name, "users.enable", unlock=True, ends_sessions=False, disabled_at=None)


def list_users(deps: Deps) -> list[User]:
    """Every user, by name."""
    _for_all(deps)
    with deps.database.read() as conn:
        return accounts.users(conn)


def _create(
    deps: Deps, conn: Connection, name: str, role: Role, scope: frozenset[str] | None, days: int | None
) -> tuple[int, str]:
    secret = PREFIX + secrets.token_urlsafe(32)
    now = deps.now()
    token_id = accounts.add_token(
        conn,
        name=name,
        digest=digest_of(secret),
        hint=secret[:7],
        role=role,
        connections=scope,
        created_at=now,
        created_by=deps.principal.name,
        expires_at=None if days is None else now + timedelta(days=days),
    )
    after = {"name": name, "role": str(role), "connections": None if scope is None else sorted(scope), "days": days}
    audit.note(deps, conn, "tokens.create", f"token {token_id}", after=after)
    return token_id, secret


def _change(
    deps: Deps,
    name: str,
    action: str,
    *,
    unlock: bool = False,
    ends_sessions: bool = True,
    **columns: Unpack[UserColumns],
) -> None:
    _for_all(deps)
    with deps.database.begin() as conn:
        user = accounts.user(conn, name)
        if user is None:
            raise NotFound(f"there is no user {name!r}", "user")
        accounts.change_user(conn, user.id, **columns)
        if unlock:
            accounts.set_tries(conn, user.id, Tries())
            sign_ins.forget(conn, user.id)
        if ends_sessions:
            accounts.end_sessions_of(conn, user.id)
        audit.note(deps, conn, action, f"user {name}")


def _for_all(deps: Deps) -> None:
    """Raise ``Refused`` unless the caller sees all connections: otherwise a narrow admin could create a wide one."""
    if deps.principal.connections is not None:
        raise Forbidden("only an admin who sees all connections may look at access or change it")


def _hashed(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidRequest(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    return HASHER.hash(password)


def _valid_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "a name has 1 to 100 letters, digits, blanks and . _ @ + -, and begins with a letter or digit"
        )
    return name


def _scope(deps: Deps, connections: Iterable[str] | None) -> frozenset[str] | None:
    if connections is None:
        return None
    scope = frozenset(connections)
    unknown = sorted(scope - set(deps.sources))
    if unknown or not scope:
        raise InvalidRequest(
            f"no connection {', '.join(unknown) or 'named'}; use one of: {', '.join(sorted(deps.sources))}"
        )
    return scope
