"""When a scheduled job is due: cron expressions on the wall clock of a time zone, as UTC slots.

APScheduler's ``CronTrigger`` only finds matching times of a wall clock here. Left to itself in a zone with daylight saving
it fires a daily job twice in autumn (02:30 exists twice) and, where the gap is at midnight (Cairo), skips it in spring. How
daylight saving is handled is decided here instead:

- a job that names its hours fires once for each time of the wall clock: at the first of two such moments, and at the
  first moment after the gap when there is none (several times inside one gap are one firing);
- a job of every hour fires whenever the wall clock shows its minute, so that hourly stays hourly.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger

from app.errors import BadConfiguration

FIELDS = ("minute", "hour", "day", "month", "day_of_week")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
"""Cron counts from Sunday, 7 being Sunday again; the parser we use counts from Monday, so it gets names."""

LAST_YEAR = 2199
"""Where the search for a slot ends: 31 February never comes."""

_LOOK_BACK = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=367))
_WEEKDAY = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")


@dataclass(frozen=True, eq=False)
class _Rule:
    """A parsed schedule: wall times match when one of ``walls`` does (they run in UTC, which has no changes)."""

    walls: tuple[CronTrigger, ...]
    zone: ZoneInfo
    every_hour: bool


def check(cron: str, timezone: str, now: datetime) -> None:
    """Raise ``BadConfiguration`` with the reason when a schedule cannot be read or has no slot after ``now``."""
    if next(_slots(_rule(cron, timezone), now), None) is None:
        raise BadConfiguration(f"cron {cron!r}: there is no such day; right would be '0 3 28 2 *'")


def latest_slot(cron: str, timezone: str, after: datetime, now: datetime) -> datetime | None:
    """The last slot in (after, now], UTC: however many were missed, one firing makes up for them.

    Raises ``BadConfiguration`` for a bad expression.
    """
    rule = _rule(cron, timezone)
    for reach in _LOOK_BACK:  # a clock that stood still for a year has 100,000 slots of a poll behind it
        since = max(after, now - reach)
        last = _last(rule, since, now)
        if last is not None or since == after:
            return last
    return _last(rule, after, now)


def next_slots(cron: str, timezone: str, now: datetime, count: int) -> list[datetime]:
    """The next ``count`` slots after now, UTC; fewer when there are no more. Raises ``BadConfiguration``."""
    return list(islice(_slots(_rule(cron, timezone), now), count))


def slots_a_day(cron: str, timezone: str, now: datetime) -> float:
    """How often a schedule fires a day: the average of the week to come, for rarer ones that of four years.

    Raises ``BadConfiguration`` for a bad expression.
    """
    return _slots_a_day(_rule(cron, timezone), now.replace(hour=0, minute=0, second=0, microsecond=0))


@lru_cache(maxsize=256)
def _slots_a_day(rule: _Rule, midnight: datetime) -> float:
    week = _count(rule, midnight, timedelta(days=7))
    return week / 7 if week >= 7 else _count(rule, midnight, timedelta(days=1461)) / 1461


def _count(rule: _Rule, now: datetime, span: timedelta) -> int:
    return sum(1 for _ in takewhile(lambda slot: slot <= now + span, _slots(rule, now)))


def _last(rule: _Rule, after: datetime, now: datetime) -> datetime | None:
    last = None
    for slot in takewhile(lambda slot: slot <= now, _slots(rule, after)):
        last = slot
    return last


def _slots(rule: _Rule, after: datetime) -> Iterator[datetime]:
    """Every slot after a moment, in order, UTC."""
    following = _rhythm if rule.every_hour else _once
    while (slot := following(rule, after)) is not None:
        yield slot
        after = slot


def _once(rule: _Rule, after: datetime) -> datetime | None:
    """The next slot of a job that names its hours: the next wall time is also the next moment."""
    wall = _matching(rule, _wall(after, rule.zone))
    while wall is not None and (moment := _moment(wall, rule.zone)) <= after:
        wall = _matching(rule, wall + timedelta(minutes=1))
    return None if wall is None else moment


def _rhythm(rule: _Rule, after: datetime) -> datetime | None:
    """The next slot of a job of every hour: the next moment at which the wall clock shows a matching time."""
    start = after + timedelta(microseconds=1)
    while (wall := _matching(rule, _wall(start, rule.zone))) is not None:
        offset = _offset(start, rule.zone)
        moment = (wall - offset).replace(tzinfo=UTC)
        if _offset(moment, rule.zone) == offset:
            return moment
        start = _change(rule.zone, start, moment)
    return None


def _matching(rule: _Rule, wall: datetime) -> datetime | None:
    """The first matching wall time (naive) from ``wall`` on."""
    times = [trigger.get_next_fire_time(None, wall.replace(tzinfo=UTC)) for trigger in rule.walls]
    return min((moment.replace(tzinfo=None) for moment in times if moment is not None), default=None)


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """When a clock in the zone shows a wall time: the first of two moments, the end of the gap when there is none."""
    moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _wall(moment, zone) == wall:
        return moment
    return _change(zone, wall.replace(tzinfo=zone, fold=1).astimezone(UTC), moment)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The moment (to the second) in (before, after] from which the zone's offset is no longer that of ``before``."""
    offset = _offset(before, zone)
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(datetime.fromtimestamp(middle, UTC), zone) == offset:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """What a clock in the zone shows, as a naive datetime."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


@lru_cache(maxsize=1024)
def _rule(cron: str, timezone: str) -> _Rule:
    """Parse a five-field cron expression; raises ``BadConfiguration`` with the reason."""
    try:
        fields = _fields(cron)
        walls = tuple(CronTrigger(**each, year=f"1970-{LAST_YEAR}", timezone=UTC) for each in _either_day(fields))
        return _Rule(walls, _zone(timezone), _is_every_hour(walls[0]))
    except ValueError as error:
        raise BadConfiguration(
            f"cron {cron!r} in {timezone!r}: {error}; right would be '0 3 * * *' in 'UTC'"
        ) from None


def _fields(cron: str) -> dict[str, str]:
    """The five fields as the parser takes them, each checked by itself so that the reason names it."""
    texts = cron.lower().split()
    if len(texts) != len(FIELDS):
        raise ValueError(f"it has {len(texts)} fields, not 5 (minute hour day month weekday)")
    fields = dict(zip(FIELDS, texts, strict=True))
    fields["day_of_week"] = _weekdays(fields["day_of_week"])
    for name, text in fields.items():
        if re.search(r"[a-z][^,]*/", text):  # the parser would forget the step without a word
            raise ValueError(f"{name}: a step needs numbers, as in 1-6/2, not {text!r}")
        try:
            CronTrigger(**{name: text}, timezone=UTC)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return fields


def _weekdays(text: str) -> str:
    """A weekday field with every day spelled by name; ranges may pass Sunday (``fri-mon``)."""
    if text == "*":
        return text
    days: set[int] = set()
    for part in text.split(","):
        match = _WEEKDAY.fullmatch(part)
        if match is None:
            raise ValueError(f"day_of_week: {part!r} is not a weekday; use 0 (Sunday) to 7, or sun to sat")
        first = 0 if match["first"] == "*" else _weekday(match["first"])
        last = _weekday(match["last"]) if match["last"] else 6 if match["step"] or match["first"] == "*" else first
        step = int(match["step"] or 1)
        if step == 0:
            raise ValueError("day_of_week: a step of 0 never moves on")
        days.update(day % 7 for day in range(first, (last if last >= first else last + 7) + 1, step))
    return ",".join(WEEKDAYS[day] for day in sorted(days))


def _weekday(text: str) -> int:
    if text.isdecimal() and int(text) <= 7:
        return int(text)
    if text in WEEKDAYS:
        return WEEKDAYS.index(text)
    raise ValueError(f"day_of_week: {text!r} is not a weekday; use 0 (Sunday) to 7, or sun to sat")


def _either_day(fields: dict[str, str]) -> list[dict[str, str]]:
    """Either a day of the month or a weekday is enough, as in every cron; the parser would require both."""
    if "*" in (fields["day"][0], fields["day_of_week"][0]):
        return [fields]
    return [{**fields, "day_of_week": "*"}, {**fields, "day": "*"}]


def _is_every_hour(wall: CronTrigger) -> bool:
    hours = wall.fields[CronTrigger.FIELD_NAMES.index("hour")]
    return all(hours.get_next_value(datetime(2000, 1, 1, hour, tzinfo=UTC)) == hour for hour in range(24))


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {timezone!r}; a time zone looks like 'Europe/Berlin'") from None
