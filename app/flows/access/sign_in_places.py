"""Counts wrong passwords by name and place: who guesses from elsewhere locks nobody out. Notes them by the hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from app.domain import Role, Who
from app.flows.access import audit
from app.flows.access.accounts import digest_of
from app.flows.deps import Deps
from app.rules.access.lockout import FREE, FREE_EVERYWHERE, LONGEST_EVERYWHERE, Tries
from app.rules.access.networks import network_of
from app.stores.access import accounts, sign_ins
from app.stores.access.sign_ins import NOBODY, Place

KNOWN_FOR = timedelta(days=180)
"""How long a browser is known again after its last sign-in."""

SOMEBODY = "somebody not signed in"

EVERYWHERE = "everywhere"
"""The place of all wrong passwords for a name together; also of those for names that there are not, so that a stranger with
many addresses fills no log."""

MOST_PLACES = 20
"""Places an hour of which a wrong password for a name is noted at once; of further ones only the sum is."""


def place_of(conn: Connection, user_id: int, origin: str, browser: str) -> str:
    """The browser, if the user has signed in with it before; else the address, of IPv6 the network."""
    known = f"browser {digest_of(browser)[:32]}"
    if browser and sign_ins.is_known(conn, user_id, known):
        return known
    return f"address {network_of(origin)}"


def known_browser(conn: Connection, browser: str) -> bool:
    """Whether somebody has signed in with a browser: it keeps its cookie when another person signs in with it."""
    return bool(browser) and sign_ins.is_known_anywhere(conn, f"browser {digest_of(browser)[:32]}")


def is_browser(place: str) -> bool:
    """Whether a place is a browser that is known, not an address."""
    return place.startswith("browser ")


def is_held_off(conn: Connection, user: dict[str, Any], place: str, now: datetime) -> bool:
    """Whether a sign-in from there must wait, be the password right or wrong."""
    everywhere = not is_browser(place) and _everywhere(user).holds_off(now)
    return everywhere or sign_ins.place(conn, user["id"], place, now).tries.holds_off(now)


def count_wrong(deps: Deps, conn: Connection, user: dict[str, Any] | None, place: str, origin: str) -> None:
    """One more wrong password; what comes while one has to wait is noted, but makes the wait no longer."""
    now = deps.now()
    row = sign_ins.place(conn, NOBODY if user is None else user["id"], EVERYWHERE if user is None else place, now)
    counts = user is not None and not is_held_off(conn, user, place, now)
    if counts:
        row = row._replace(tries=row.tries.and_another(now, FREE))
    acting = _somebody(deps, origin)
    noted = _noted(acting, conn, row, user, now)
    sign_ins.put(conn, noted, now)
    waits = [(place, row.tries)] if counts else []
    if counts and user is not None and not is_browser(place):
        tries = _everywhere(user).and_another(now, FREE_EVERYWHERE, LONGEST_EVERYWHERE)
        accounts.change_user(conn, user["id"], **tries._asdict())
        waits.append((EVERYWHERE, tries))
    for where, held in waits:
        if held.locked_until is not None:
            wait = {"place": where, "failures": held.failures, "until": held.locked_until.isoformat()}
            audit.note(acting, conn, "sign_in.locked", _subject(user), after=wait)


def let_in(deps: Deps, conn: Connection, user_id: int, place: str, browser: str) -> None:
    """The password was right: the place starts anew, and the browser is known from now on."""
    now = deps.now()
    for one in {place, f"browser {digest_of(browser)[:32]}"}:
        row = sign_ins.place(conn, user_id, one, now)
        seen = now if is_browser(one) else row.signed_in_at
        sign_ins.put(conn, row._replace(tries=Tries(), signed_in_at=seen), now)


def sum_up(deps: Deps) -> int:
    """Note how many wrong passwords came in hours that are over, one entry for each hour and place; returns how many."""
    now = deps.now()
    with deps.database.begin() as conn:
        rows = sign_ins.unsummed(conn, _hour(now))
        names = {user["id"]: user for user in accounts.users(conn)} if rows else {}
        for row in rows:
            _note_hour(_somebody(deps, row.place), conn, row, names.get(row.user_id))
            sign_ins.summed(conn, row)
    return len(rows)


def _noted(deps: Deps, conn: Connection, row: Place, user: dict[str, Any] | None, now: datetime) -> Place:
    """The first of an hour is noted at once, the others with their number when the hour is over."""
    hour = _hour(now)
    if row.hour == hour:
        return row._replace(hour_failures=row.hour_failures + 1)
    if row.hour_failures > 1:
        _note_hour(deps, conn, row, user)
    if sign_ins.count_places(conn, row.user_id, hour) < MOST_PLACES:
        audit.note(deps, conn, "sign_in.failed", _subject(user), after={"place": row.place})
    return row._replace(hour=hour, hour_failures=1)


def _note_hour(deps: Deps, conn: Connection, row: Place, user: dict[str, Any] | None) -> None:
    summed = {"place": row.place, "times": row.hour_failures, "hour": row.hour.isoformat() if row.hour else None}
    audit.note(deps, conn, "sign_in.failed", _subject(user), after=summed)


def _subject(user: dict[str, Any] | None) -> str:
    return "an unknown name" if user is None else f"user {user['name']}"


def _somebody(deps: Deps, origin: str) -> Deps:
    return replace(deps, who=Who(SOMEBODY, Role.VIEWER, origin=origin))


def _everywhere(user: dict[str, Any]) -> Tries:
    return Tries(user["failures"], user["failed_at"], user["locked_until"])


def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)
