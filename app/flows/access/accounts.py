"""Who may come in: tokens for programs, users with passwords, and the first key of an installation."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy.exc import IntegrityError

from app.domain import Role
from app.errors import Conflict, Forbidden, InvalidRequest, NotFound
from app.flows.access import audit
from app.flows.deps import Deps
from app.stores.access import accounts, sign_ins

PREFIX = "th_"
"""Every token begins so: secret scanners know it by that."""

DAYS = 90
"""How long a token lives unless somebody wishes otherwise."""

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 500
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,99}")

UNLOCKED = {"failures": 0, "failed_at": None, "locked_until": None}
"""What a user has of whom no wrong password counts."""

HASHER = PasswordHasher()
"""Argon2id with the library's parameters (RFC 9106, low memory)."""


def digest_of(secret: str) -> str:
    """What is kept of a token or cookie: SHA-256, hex. They are 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_token(
    deps: Deps, name: str, role: Role, *, connections: Iterable[str] | None = None, days: int | None = DAYS
) -> tuple[int, str]:
    """A new token; returns its number and the token itself, which is told nowhere else and never again.

    ``connections`` limits it to these; ``days`` is how long it lives, ``None`` for ever. Raises ``Refused``.
    """
    _for_all(deps)
    scope = _scope(deps, connections)
    if days is not None and not 1 <= days <= 3650:
        raise InvalidRequest("a token lives 1 to 3650 days, or for ever")
    with deps.database.begin() as conn:
        return _create(deps, conn, _named(name), role, scope, days)


def first_token(deps: Deps) -> str | None:
    """The admin token of a first start; ``None`` where anybody can come in already, or another process was faster."""
    with deps.database.begin() as conn:
        if accounts.anybody(conn):
            return None
        return _create(deps, conn, "first start", Role.ADMIN, None, None)[1]


def revoke_token(deps: Deps, token_id: int) -> None:
    """Let a token open nothing any more. Raises ``NotFound`` when there is none, or it is revoked."""
    _for_all(deps)
    with deps.database.begin() as conn:
        token = accounts.token(conn, token_id)
        if token is None:
            raise NotFound(f"there is no token {token_id}", "token")
        if not accounts.revoke_token(conn, token_id, deps.who.name, deps.now()):
            raise Conflict(f"token {token_id} is revoked already")
        audit.note(deps, conn, "tokens.revoke", f"token {token_id}", before={"name": token["name"]})


def list_tokens(deps: Deps) -> list[dict[str, Any]]:
    """Every token, newest first, without what it opens with."""
    _for_all(deps)
    with deps.database.read() as conn:
        return [_told(token) for token in accounts.tokens(conn)]


def add_user(deps: Deps, name: str, password: str, role: Role, *, connections: Iterable[str] | None = None) -> int:
    """A new user; returns its number. Raises ``Conflict`` for a taken name, and
    ``InvalidRequest`` for a password that is too short."""
    _for_all(deps)
    scope = _scope(deps, connections)
    told = {"name": _named(name), "role": str(role), "password_hash": _hashed(password), "failures": 0}
    try:
        with deps.database.begin() as conn:
            by = {"created_at": deps.now(), "created_by": deps.who.name}
            user_id = accounts.add_user(conn, connections=scope, **told, **by)
            after = {"role": str(role), "connections": None if scope is None else sorted(scope)}
            audit.note(deps, conn, "users.add", f"user {told['name']}", after=after)
    except IntegrityError:
        raise Conflict(f"there is a user {name!r} already") from None
    return user_id


def set_password(deps: Deps, name: str, password: str) -> None:
    """Give a user another password; every session of the user ends, and no wrong guess counts any more."""
    _change(deps, name, "users.password", **UNLOCKED, password_hash=_hashed(password))


def disable_user(deps: Deps, name: str) -> None:
    """Let a user come in no more; every session of the user ends."""
    _change(deps, name, "users.disable", disabled_at=deps.now())


def enable_user(deps: Deps, name: str) -> None:
    """Let a user come in again."""
    _change(deps, name, "users.enable", **UNLOCKED, disabled_at=None)


def list_users(deps: Deps) -> list[dict[str, Any]]:
    """Every user by name."""
    _for_all(deps)
    with deps.database.read() as conn:
        return [_told(user) for user in accounts.users(conn)]


def _create(
    deps: Deps, conn: Any, name: str, role: Role, scope: frozenset[str] | None, days: int | None
) -> tuple[int, str]:
    secret = PREFIX + secrets.token_urlsafe(32)
    now = deps.now()
    expires_at = None if days is None else now + timedelta(days=days)
    told = {"name": name, "role": str(role), "connections": scope, "expires_at": expires_at}
    by = {"digest": digest_of(secret), "hint": secret[:7], "created_at": now, "created_by": deps.who.name}
    token_id = accounts.add_token(conn, **told, **by)
    after = {"name": name, "role": str(role), "connections": None if scope is None else sorted(scope), "days": days}
    audit.note(deps, conn, "tokens.create", f"token {token_id}", after=after)
    return token_id, secret


def _change(deps: Deps, name: str, action: str, **told: Any) -> None:
    _for_all(deps)
    with deps.database.begin() as conn:
        user = accounts.user(conn, name)
        if user is None:
            raise NotFound(f"there is no user {name!r}", "user")
        accounts.change_user(conn, user["id"], **told)
        if "failures" in told:
            sign_ins.forget(conn, user["id"])
        if action != "users.enable":
            accounts.end_sessions_of(conn, user["id"])
        audit.note(deps, conn, action, f"user {name}")


def _for_all(deps: Deps) -> None:
    """Access reaches everywhere, so who hands it out must: otherwise a narrow admin could make a wide one."""
    if deps.who.connections is not None:
        raise Forbidden("only an admin who sees all connections may look at access or change it")


def _hashed(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidRequest(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    return HASHER.hash(password)


def _named(name: str) -> str:
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
            f"no connection {', '.join(unknown) or 'named'}; there are {', '.join(sorted(deps.sources))}"
        )
    return scope


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "connections": None if row["connections"] is None else sorted(row["connections"])}
