"""Square's timestamps: RFC 3339 text with 0 to 9 fraction digits, which only compare as moments, never as text."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain import micros
from app.errors import Unmappable
from app.sources.values import moment


def moment_in(row: Any, name: str) -> datetime | None:
    """The moment that a field of a record names, ``None`` where it cannot be read."""
    text = row.get(name) if isinstance(row, dict) else None
    try:
        return moment(text) if isinstance(text, str) else None
    except Unmappable:
        return None


def bounded(text: str, now: datetime, overlap: timedelta) -> str:
    """A watermark as it may be kept or used: never later than our clock minus the overlap."""
    latest, at = now - overlap, moment(text)
    return text if at is not None and at <= latest else text_of(latest)


def version_of(updated_at: str | None, created_at: str | None) -> int:
    """Microseconds since 1970 of the first timestamp that is there, 0 without one."""
    at = last_change(updated_at, created_at)
    return micros(at) if at is not None else 0


def last_change(updated_at: str | None, created_at: str | None) -> datetime | None:
    """When a record was updated, else when it was created; raises ``Unmappable`` naming the field."""
    return moment(updated_at, "updated_at") or moment(created_at, "created_at")


def later(one: str | None, other: str | None) -> str | None:
    """The later of two timestamps, in Square's own text."""
    first, second = moment(one, "updated_at"), moment(other, "updated_at")
    if first is None or second is None:
        return one or other
    return other if second > first else one


def text_of(when: datetime) -> str:
    """RFC 3339 text of an aware datetime, in UTC with microseconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def before(text: str, overlap: timedelta) -> str:
    """A timestamp moved back by an overlap."""
    at = moment(text)
    if at is None:
        raise Unmappable("expected an RFC 3339 timestamp, not an empty one")
    return text_of(at - overlap)
