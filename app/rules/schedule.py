"""When a scheduled job is due: cron expressions in a time zone, as UTC slots."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from app.errors import BadConfiguration

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Cron counts from Sunday, 7 being Sunday again; the parser we use counts from Monday, so it gets names."""


def trigger(cron: str, timezone: str) -> CronTrigger:
    """Parse a five-field cron expression; raises ``BadConfiguration`` with the reason."""
    try:
        *fields, weekday = cron.split(" ")
        named = re.sub(r"(?<![/\w])[0-7]", lambda day: WEEKDAYS[int(day[0])], weekday)
        return CronTrigger.from_crontab(" ".join([*fields, named]), timezone=ZoneInfo(timezone))
    except (ValueError, KeyError, TypeError) as error:
        raise BadConfiguration(f"cron {cron!r} in {timezone!r}: {error}; right would be '0 3 * * *'") from error


def latest_slot(cron: str, timezone: str, after: datetime, now: datetime) -> datetime | None:
    """The last slot in (after, now], UTC: however many were missed, one firing makes up for them.

    Raises ``BadConfiguration`` for a bad expression.
    """
    rule = trigger(cron, timezone)
    slot, found = _next(rule, after, after), None
    while slot is not None and slot <= now:
        found = slot
        slot = _next(rule, slot, slot + timedelta(microseconds=1))
    return found


def next_slots(cron: str, timezone: str, now: datetime, count: int) -> list[datetime]:
    """The next ``count`` slots after now, UTC."""
    rule = trigger(cron, timezone)
    slots: list[datetime] = []
    last = now
    while len(slots) < count and (slot := _next(rule, last, last + timedelta(microseconds=1))) is not None:
        slots.append(slot)
        last = slot
    return slots


def _next(rule: CronTrigger, previous: datetime, now: datetime) -> datetime | None:
    found: datetime | None = rule.get_next_fire_time(previous, now)
    return None if found is None else found.astimezone(UTC)
