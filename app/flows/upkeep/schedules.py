"""Schedules as people see and edit them: each job's times, and what they cost against the call budget."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from app.errors import BadConfiguration
from app.flows.access import audit
from app.flows.deps import Deps, source_of
from app.rules.runs.jobs import JOBS, Job, is_possible, job_of
from app.rules.runs.schedule import check, next_slots, slots_a_day
from app.sources.base import Limit, Source
from app.stores.runs import schedules
from app.stores.runs.schedules import Schedule

NEXT_SLOTS = 5
"""How many of the next times people see."""


class JobSchedule(msgspec.Struct, frozen=True):
    """When a job runs: ``next`` is ISO 8601 in the schedule's own zone, empty when it is off; ``last_slot`` is the slot that
    fired last, in UTC. ``problem`` says why a schedule never fires."""

    job: str
    does: str | None
    cron: str
    timezone: str
    enabled: bool
    last_slot: str | None
    next: Sequence[str]
    problem: str | None


class JobCost(msgspec.Struct, frozen=True):
    """What a job costs: calls are ``None`` while no such run was completed, the budget without a limit; ``unknown`` are the
    enabled jobs nobody has measured yet."""

    runs_per_day: float
    calls_per_run: float | None
    calls_per_day: float | None
    budget_per_day: int | None
    all_jobs_per_day: float
    unknown: Sequence[str]


class SavedSchedule(JobSchedule, frozen=True):
    """A schedule that was set; ``warning`` is a sentence when all enabled jobs together do not fit the budget."""

    cost: JobCost
    warning: str | None


def show(deps: Deps, connection: str) -> list[JobSchedule]:
    """Every schedule of a connection. Raises ``NotFound`` for an unknown connection."""
    source_of(deps, connection)
    with deps.database.read() as conn:
        rows = schedules.all_(conn, connection)
    now = deps.now()
    return [_shown(row, now) for row in sorted(rows, key=_place)]


class Times(NamedTuple):
    """What a person sets of a job."""

    cron: str
    timezone: str
    enabled: bool


def save(
    deps: Deps,
    connection: str,
    job: str,
    cron: str | None = None,
    timezone: str | None = None,
    enabled: bool | None = True,
    *,
    default_zone: str = "UTC",
) -> SavedSchedule:
    """Set a job's schedule; what is ``None`` stays as it is. A job without a schedule needs a cron, and has the default
    zone unless another is given. Slots count from now on: an edit at noon starts nothing for the hours before it.

    Raises ``BadConfiguration`` for a job, cron or time zone that is wrong, ``NotFound`` for an unknown connection.
    """
    source, now, wanted = source_of(deps, connection), deps.now(), job_of(job)
    with deps.database.begin() as conn:
        kept = {row.job: row for row in schedules.all_(conn, connection)}.get(wanted.name)
        before = None if kept is None else Times(kept.cron, kept.timezone, kept.enabled)
        old = before or Times("", default_zone, True)
        times = Times(cron or old.cron, timezone or old.timezone, old.enabled if enabled is None else enabled)
        _check(connection, source, wanted, times, now)
        if times != before:
            schedules.put(conn, connection, wanted.name, *times, since=now)
            audit.note(
                deps,
                conn,
                "schedules.set",
                f"job {wanted.name}",
                connection=connection,
                before=before and before._asdict(),
                after=times._asdict(),
            )
        rows = schedules.all_(conn, connection)
        cost, warning = _cost(conn, connection, wanted, rows, source, now)
    (row,) = (row for row in rows if row.job == wanted.name)
    return SavedSchedule(**msgspec.structs.asdict(_shown(row, now)), cost=cost, warning=warning)


def _check(connection: str, source: Source, job: Job, times: Times, now: datetime) -> None:
    if not times.cron:
        raise BadConfiguration(f"job {job.name} is not scheduled yet; say when it is to run: give its cron")
    check(times.cron, times.timezone, now)
    if not is_possible(job, source.kinds, now):
        raise BadConfiguration(f"job {job.name!r} has nothing to read in {connection!r}")


def _place(row: Schedule) -> tuple[int, str]:
    """Sorts jobs in the order of ``JOBS``, former jobs last."""
    names = list(JOBS)
    return (names.index(row.job) if row.job in JOBS else len(names), row.job)


def _shown(row: Schedule, now: datetime) -> JobSchedule:
    job, problem = JOBS.get(row.job), None
    slots: list[datetime] = []
    try:
        job_of(row.job)
        slots = next_slots(row.cron, row.timezone, now, NEXT_SLOTS)
    except BadConfiguration as error:
        problem = str(error)
    return JobSchedule(
        job=row.job,
        does=job.does if job is not None else None,
        cron=row.cron,
        timezone=row.timezone,
        enabled=row.enabled,
        last_slot=None if row.fired_slot is None else row.fired_slot.isoformat(),
        next=[slot.astimezone(ZoneInfo(row.timezone)).isoformat() for slot in slots] if row.enabled else [],
        problem=problem,
    )


def _cost(
    conn: Connection, connection: str, job: Job, rows: Sequence[Schedule], source: Source, now: datetime
) -> tuple[JobCost, str | None]:
    """What a job and all enabled jobs cost a day, and a warning if they do not fit the budget."""
    calls = {name: _calls_per_run(conn, connection, listed) for name, listed in JOBS.items()}
    often = {row.job: _often(row, now) for row in rows if row.job in JOBS}
    running = [row.job for row in rows if row.enabled and row.job in JOBS]
    total = sum(often[name] * (calls[name] or 0) for name in running)
    limit = _tightest(source)
    mine = calls[job.name]
    cost = JobCost(
        runs_per_day=round(often[job.name], 3),
        calls_per_run=mine,
        calls_per_day=None if mine is None else round(often[job.name] * mine, 1),
        budget_per_day=None if limit is None else round(limit.a_day),
        all_jobs_per_day=round(total, 1),
        unknown=[name for name in running if calls[name] is None],
    )
    return cost, _warning(total, limit)


def _warning(total: float, limit: Limit | None) -> str | None:
    if limit is None or total <= limit.a_day:
        return None
    return (
        f"all enabled jobs need about {total:,.0f} calls a day; the budget is {limit.a_day:,.0f} "
        f"({limit.name}: {limit.calls} in {limit.seconds:g} s), and webhooks and people need some of it too"
    )


def _calls_per_run(conn: Connection, connection: str, job: Job) -> float | None:
    past = schedules.past_calls(conn, connection, job.strategy, job.options)
    return round(sum(past) / len(past), 1) if past else None


def _often(row: Schedule, now: datetime) -> float:
    if not row.enabled:
        return 0.0
    try:
        return slots_a_day(row.cron, row.timezone, now)
    except BadConfiguration:  # it never fires
        return 0.0


def _tightest(source: Source) -> Limit | None:
    """The limit with the fewest calls a day. We do not know which limits a run's calls count against, so all count here."""
    return min(source.budget(), key=lambda limit: limit.a_day, default=None)
