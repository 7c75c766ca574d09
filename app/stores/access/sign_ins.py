"""Where people sign in from, and how often a password was wrong there."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, or_, select, update

from app.rules.access.lockout import Tries
from app.stores import tables
from app.stores.sql.statements import Statement

_PLACES = tables.core(tables.SignInPlace)

NOBODY = 0
"""The user id of names that do not exist."""


class Place(NamedTuple):
    """A row of ``tables.SignInPlace``, which explains the columns."""

    user_id: int
    place: str
    tries: Tries = Tries()
    signed_in_at: datetime | None = None
    hour: datetime | None = None
    hour_failures: int = 0


_ADD = Statement(
    """
    INSERT INTO sign_in_places (user_id, place, failures, hour_failures, seen_at) VALUES (:user_id, :place, 0, 0, :now)
    ON CONFLICT (user_id, place) DO UPDATE SET seen_at = excluded.seen_at
    """
)
_PUT = Statement(
    """
    UPDATE sign_in_places
    SET failures = :failures, failed_at = :failed_at, locked_until = :locked_until, signed_in_at = :signed_in_at,
        hour = :hour, hour_failures = :hour_failures, seen_at = :now
    WHERE user_id = :user_id AND place = :place
    """
)


def place(conn: Connection, user_id: int, place: str, now: datetime) -> Place:
    """A place of a user; a new row if there is none. On PostgreSQL it is locked, so that guesses are counted one by
    one."""
    _ADD.run(conn, {"user_id": user_id, "place": place, "now": now})
    query = select(_PLACES).where(_PLACES.c.user_id == user_id, _PLACES.c.place == place)
    return _place(conn.execute(query.with_for_update()).one())


def is_known(conn: Connection, user_id: int, place: str) -> bool:
    """Whether the user has signed in there before."""
    query = select(_PLACES.c.signed_in_at).where(_PLACES.c.user_id == user_id, _PLACES.c.place == place)
    return conn.execute(query).scalar_one_or_none() is not None


def put(conn: Connection, place: Place, now: datetime) -> None:
    """Store a changed place, where somebody tried to sign in now."""
    row = place._asdict()
    _PUT.run(conn, {**row, **row.pop("tries")._asdict(), "now": now})


def close_hour(conn: Connection, place: Place) -> None:
    """Reset a place's hour, whose wrong passwords are in the audit log now."""
    same = (_PLACES.c.user_id == place.user_id, _PLACES.c.place == place.place)
    conn.execute(update(_PLACES).where(*same).values(hour=None, hour_failures=0))


def count_places(conn: Connection, user_id: int, hour: datetime) -> int:
    """From how many places wrong passwords for the user came within an hour."""
    query = select(func.count()).where(_PLACES.c.user_id == user_id, _PLACES.c.hour == hour)
    return int(conn.execute(query).scalar_one())


def is_known_anywhere(conn: Connection, place: str) -> bool:
    """Whether any user has signed in there."""
    query = select(_PLACES.c.user_id).where(_PLACES.c.place == place, _PLACES.c.signed_in_at.is_not(None)).limit(1)
    return conn.execute(query).first() is not None


def places_to_sum_up(conn: Connection, hour: datetime, limit: int = 500) -> list[Place]:
    """Places with several wrong passwords in an hour before ``hour`` that are not in the audit log yet; locked on
    PostgreSQL."""
    query = select(_PLACES).where(_PLACES.c.hour < hour, _PLACES.c.hour_failures > 1)
    return [_place(row) for row in conn.execute(query.limit(limit).with_for_update(skip_locked=True))]


def forget(conn: Connection, user_id: int) -> None:
    """Remove a user's places: no wrong password counts any more, and no browser is known."""
    conn.execute(delete(_PLACES).where(_PLACES.c.user_id == user_id))


def remove_old(conn: Connection, before: datetime, browsers_before: datetime) -> int:
    """Remove places that nobody has tried from since ``before``, known browsers only since ``browsers_before``; returns
    how many."""
    old = or_(_PLACES.c.signed_in_at.is_(None), _PLACES.c.seen_at < browsers_before)
    return int(conn.execute(delete(_PLACES).where(_PLACES.c.seen_at < before, old)).rowcount)


def _place(row: Any) -> Place:
    tries = Tries(row.failures, row.failed_at, row.locked_until)
    return Place(row.user_id, row.place, tries, row.signed_in_at, row.hour, row.hour_failures)
