"""Recognises callers: by token, by password, by the session of a browser."""

import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

import structlog
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection

from app.domain import Principal
from app.flows.access import audit
from app.flows.access import sign_in_places as places
from app.flows.access.accounts import HASHER, LONGEST_PASSWORD, PREFIX, digest_of
from app.flows.deps import Deps
from app.stores.access import accounts
from app.stores.access.accounts import Session, Token, User, UserColumns
from app.stores.access.sign_ins import NOBODY

LONGEST_SESSION = timedelta(hours=12)
IDLE = timedelta(hours=2)
NOTED_EVERY = timedelta(minutes=1)
"""Uses are recorded at most this often, so that a busy token costs no write per request."""

log = structlog.get_logger()


@dataclass(frozen=True)
class SignedIn:
    """A browser that signed in. Only it knows the ``cookie``; it must send ``csrf`` with every change, and ``browser`` with
    its next password to be recognised."""

    principal: Principal
    csrf: str
    cookie: str = ""
    browser: str = ""


def by_token(deps: Deps, secret: str, origin: str) -> Principal | None:
    """The caller with this token; ``None`` if it is unknown, revoked or expired."""
    if not secret.startswith(PREFIX) or len(secret) > 200:
        return None
    now = deps.now()
    with deps.database.read() as conn:
        token = accounts.token_of(conn, digest_of(secret), now)
    if token is None:
        return None
    if token.last_used_at is None or now - token.last_used_at > NOTED_EVERY:
        with deps.database.begin() as conn:
            accounts.record_use(conn, token.id, origin, now)
    return _who(token, origin)


def with_token(deps: Deps, secret: str, origin: str) -> SignedIn | None:
    """A session that begins with a token; ``None`` if it is unknown, revoked or expired."""
    if by_token(deps, secret, origin) is None:
        _refuse(deps, origin)
        return None
    with deps.database.begin() as conn:
        token = accounts.token_of(conn, digest_of(secret), deps.now())
        return None if token is None else _begin(deps, conn, token, origin)


def with_password(deps: Deps, name: str, password: str, origin: str, browser: str = "") -> SignedIn | None:
    """A session that begins with a password; ``None`` for a wrong password, for an unknown or disabled name, and while
    the caller must wait.

    From outside they all look the same. After ``FREE`` wrong passwords the name must wait at that address, longer each
    time (``rules.access.lockout``); the ``browser`` of an earlier sign-in is counted by itself. The hash is computed
    before the row is locked, so that guesses do not hold up others.
    """
    with deps.database.begin() as conn:
        user = accounts.user(conn, name[:200])
    nobody = _hash_of_nobody()  # for names that exist too, so that a slow first attempt reveals nothing
    known_hash = user.password_hash if user else nobody
    is_right = _verified(known_hash, password) and user is not None
    if user is None:
        _refuse(deps, origin)
        return None
    with deps.database.begin() as conn:
        user = accounts.user(conn, user.name)
        place = places.place_of(conn, NOBODY if user is None else user.id, origin, browser)
        shut = user is None or user.disabled_at is not None or places.is_held_off(conn, user, place, deps.now())
        if user is None or shut or not is_right or user.password_hash != known_hash:
            places.count_wrong(deps, conn, user, place, origin)
            return None
        columns: UserColumns = {"last_seen_at": deps.now()}
        if HASHER.check_needs_rehash(known_hash):
            columns["password_hash"] = HASHER.hash(password)
        accounts.change_user(conn, user.id, **columns)
        browser = browser if places.known_browser(conn, browser) else secrets.token_urlsafe(32)
        places.let_in(deps, conn, user.id, place, browser)
        return replace(_begin(deps, conn, user, origin), browser=browser)


def by_session(deps: Deps, cookie: str, origin: str) -> SignedIn | None:
    """The caller whose browser has this cookie; ``None`` if the session is over."""
    if not cookie or len(cookie) > 200:
        return None
    now = deps.now()
    with deps.database.read() as conn:
        session = accounts.session(conn, digest_of(cookie), now, now - IDLE)
    if session is None:
        return None
    if now - session.seen_at > NOTED_EVERY:
        with deps.database.begin() as conn:
            accounts.record_session_use(conn, session.digest, now)
    return SignedIn(_who(session.owner, origin), session.csrf)


def sign_out(deps: Deps, cookie: str) -> None:
    """End the session of a cookie."""
    with deps.database.begin() as conn:
        accounts.end_session(conn, digest_of(cookie))


@cache
def _hash_of_nobody() -> str:
    """The hash that passwords for unknown names are verified against, so that an unknown name takes as long as a known
    one."""
    return HASHER.hash(secrets.token_urlsafe())


def _verified(known_hash: str, password: str) -> bool:
    if len(password) > LONGEST_PASSWORD:  # as slow as any other wrong one
        known_hash, password = _hash_of_nobody(), password[:LONGEST_PASSWORD]
    try:
        return HASHER.verify(known_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _refuse(deps: Deps, origin: str) -> None:
    log.warning("sign_in_refused", origin=origin)
    with deps.database.begin() as conn:
        places.count_wrong(deps, conn, None, places.place_of(conn, NOBODY, origin, ""), origin)


def _begin(deps: Deps, conn: Connection, owner: User | Token, origin: str) -> SignedIn:
    now = deps.now()
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    accounts.remove_expired_sessions(conn, now)
    session = Session(digest_of(cookie), csrf, now, owner)
    accounts.add_session(conn, session, expires_at=now + LONGEST_SESSION, origin=origin)
    principal = _who(owner, origin)
    audit.note(replace(deps, principal=principal), conn, "sign_in", principal.name)
    return SignedIn(principal, csrf, cookie)


def _who(owner: User | Token, origin: str) -> Principal:
    kind = "user" if isinstance(owner, User) else "token"
    scope = None if owner.connections is None else frozenset(owner.connections)
    return Principal(f"{kind} {owner.name}", owner.role, scope, origin)
