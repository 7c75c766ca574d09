"""Counts wrong passwords by name and place, so that guesses from elsewhere lock nobody out; notes them by the hour."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.domain import Principal, Role
from app.flows.access import audit
from app.flows.access.accounts import digest_of
from app.flows.deps import Deps
from app.rules.access.lockout import FREE, FREE_EVERYWHERE, LONGEST_EVERYWHERE, Tries
from app.rules.access.networks import network_of
from app.stores.access import accounts, sign_ins
from app.stores.access.accounts import User
from app.stores.access.sign_ins import NOBODY, Place

KNOWN_FOR = timedelta(days=180)
"""How long a browser is recognised after its last sign-in."""

SOMEBODY = "somebody not signed in"

EVERYWHERE = "everywhere"
"""The place of all wrong passwords for a name together, and of those for all names that do not exist, so that a stranger
with many addresses fills no log."""

MOST_PLACES = 20
"""If wrong passwords for a name come from this many places within an hour, the next one is noted at once; from further ones
only the sum is."""


def place_of(conn: Connection, user_id: int, origin: str, browser: str) -> str:
    """The browser, if the user has signed in with it before; else the address, or the network of an IPv6 address."""
    known = f"browser {digest_of(browser)[:32]}"
    if browser and sign_ins.is_known(conn, user_id, known):
        return known
    return f"address {network_of(origin)}"


def known_browser(conn: Connection, browser: str) -> bool:
    """Whether anybody has signed in with a browser: it keeps its cookie when another person signs in with it."""
    return bool(browser) and sign_ins.is_known_anywhere(conn, f"browser {digest_of(browser)[:32]}")


def is_browser(place: str) -> bool:
    """Whether a place is a known browser, not an address."""
    return place.startswith("browser ")


def is_held_off(conn: Connection, user: User, place: str, now: datetime) -> bool:
    """Whether a sign-in from there must wait, whether the password is right or wrong."""
    everywhere = not is_browser(place) and user.tries.holds_off(now)
    return everywhere or sign_ins.place(conn, user.id, place, now).tries.holds_off(now)


def count_wrong(deps: Deps, conn: Connection, user: User | None, place: str, origin: str) -> None:
    """Count one more wrong password. One that comes during a wait is noted, but does not lengthen the wait."""
    now = deps.now()
    row = sign_ins.place(conn, NOBODY if user is None else user.id, EVERYWHERE if user is None else place, now)
    counts = user is not None and not is_held_off(conn, user, place, now)
    if counts:
        row = row._replace(tries=row.tries.and_another(now, FREE))
    acting = _somebody(deps, origin)
    noted = _noted(acting, conn, row, user, now)
    sign_ins.put(conn, noted, now)
    waits = [(place, row.tries)] if counts else []
    if counts and user is not None and not is_browser(place):
        tries = user.tries.and_another(now, FREE_EVERYWHERE, LONGEST_EVERYWHERE)
        accounts.set_tries(conn, user.id, tries)
        waits.append((EVERYWHERE, tries))
    for where, held in waits:
        if held.locked_until is not None:
            wait = {"place": where, "failures": held.failures, "until": held.locked_until.isoformat()}
            audit.note(acting, conn, "sign_in.locked", _subject(user), after=wait)


def let_in(deps: Deps, conn: Connection, user_id: int, place: str, browser: str) -> None:
    """After a right password: reset the place, and recognise the browser from now on."""
    now = deps.now()
    for one in {place, f"browser {digest_of(browser)[:32]}"}:
        row = sign_ins.place(conn, user_id, one, now)
        seen = now if is_browser(one) else row.signed_in_at
        sign_ins.put(conn, row._replace(tries=Tries(), signed_in_at=seen), now)


def sum_up(deps: Deps) -> int:
    """Note how many wrong passwords came in past hours, one entry for each hour and place; returns how many entries."""
    now = deps.now()
    with deps.database.begin() as conn:
        rows = sign_ins.places_to_sum_up(conn, _hour(now))
        users = {user.id: user for user in accounts.users(conn)} if rows else {}
        for row in rows:
            _note_hour(_somebody(deps, row.place), conn, row, users.get(row.user_id))
            sign_ins.close_hour(conn, row)
    return len(rows)


def _noted(deps: Deps, conn: Connection, row: Place, user: User | None, now: datetime) -> Place:
    """Note the first of an hour at once; the others are counted, and noted when the hour is over."""
    hour = _hour(now)
    if row.hour == hour:
        return row._replace(hour_failures=row.hour_failures + 1)
    if row.hour_failures > 1:
        _note_hour(deps, conn, row, user)
    if sign_ins.count_places(conn, row.user_id, hour) < MOST_PLACES:
        audit.note(deps, conn, "sign_in.failed", _subject(user), after={"place": row.place})
    return row._replace(hour=hour, hour_failures=1)


def _note_hour(deps: Deps, conn: Connection, row: Place, user: User | None) -> None:
    after = {"place": row.place, "times": row.hour_failures, "hour": row.hour.isoformat() if row.hour else None}
    audit.note(deps, conn, "sign_in.failed", _subject(user), after=after)


def _subject(user: User | None) -> str:
    return "an unknown name" if user is None else f"user {user.name}"


def _somebody(deps: Deps, origin: str) -> Deps:
    return replace(deps, principal=Principal(SOMEBODY, Role.VIEWER, origin=origin))


def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)
