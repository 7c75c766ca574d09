"""The jobs a clock can run for a connection: what each does, and when it runs by default.

A connection has one bulk run at a time, so jobs that are due together wait for each other (see ``flows.upkeep.tick``): at
02:00 and 03:00, where people expect them, the second starts when the first is done. Jobs without a fixed hour avoid the
full hour and the quarters, so that they rarely wait.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain import Kind, Options, Strategy
from app.errors import BadConfiguration, Refused
from app.rules.runs.strategies import stages


@dataclass(frozen=True)
class Job:
    """Something that a schedule can start. A job without ``cron`` runs only if a person schedules it.

    ``owes`` says that it opens no run, but owes every kind from its watermark, on the item path.
    """

    name: str
    strategy: Strategy
    cron: str | None
    does: str
    options: Options = Options()  # noqa: RUF009 - frozen
    owes: bool = False


POLL = "poll"
FULL = "full"

JOBS: Mapping[str, Job] = {
    job.name: job
    for job in (
        Job(POLL, Strategy.INCREMENTAL, "*/5 * * * *", "looks for what changed since the watermark", owes=True),
        Job("critical", Strategy.CRITICAL, "*/15 * * * *", "reads what is out of stock or low"),
        Job("inventory", Strategy.INVENTORY, "7 * * * *", "reads all stock levels"),
        Job("smart", Strategy.SMART, "22 */6 * * *", "reads what has waited longest for its price in calls"),
        Job(
            "daily",
            Strategy.DAILY,
            "0 2 * * *",
            "reads orders, catalog, locations, categories and vendors in one run",
        ),
        Job(
            "active", Strategy.ACTIVE, "0 2 * * *", "reads the products that are for sale and were touched in a year"
        ),
        # The deep run goes first: if both are due in the same slot, it does everything that the other would do.
        Job("deep", Strategy.FULL, "0 3 * * 0", "full, and confirms every deletion one by one", Options(deep=True)),
        Job(FULL, Strategy.FULL, "0 3 * * 1-6", "reads the whole account and reports what differed"),
        Job("orders", Strategy.ORDERS, None, "reads the orders of the last seven days"),
        Job("catalog", Strategy.CATALOG, None, "reads all products"),
        Job("locations", Strategy.LOCATIONS, None, "reads all locations"),
        Job("categories", Strategy.CATEGORIES, None, "reads all categories"),
        Job("vendors", Strategy.VENDORS, None, "reads all vendors"),
    )
}
"""By name; jobs that are due at the same moment start in this order."""

OLDER_NAMES: Mapping[str, str] = {"reconcile": FULL}
"""Former names of jobs; their schedules in the database are renamed."""

_ALIASES: Mapping[str, str] = {**OLDER_NAMES, "incremental": POLL}


def job_of(name: str) -> Job:
    """The job of a name or an alias; raises ``BadConfiguration`` with the names of all jobs."""
    spelled = name.strip().lower()
    job = JOBS.get(_ALIASES.get(spelled, spelled))
    if job is None:
        hint = "category runs on demand only; " if spelled == Strategy.CATEGORY else ""
        raise BadConfiguration(f"no job {name!r}: {hint}use one of: {', '.join(JOBS)}")
    return job


def is_possible(job: Job, kinds: Sequence[Kind], now: datetime) -> bool:
    """Whether the job has anything to read from a source of these kinds."""
    if job.owes or job.strategy is Strategy.SMART:
        return True
    try:
        return bool(stages(job.strategy, job.options, kinds, now))
    except Refused:
        return False


def defaults(kinds: Sequence[Kind], now: datetime, *, poll: str, full: str) -> dict[str, str]:
    """Job to cron of every job that a connection is given; ``poll`` and ``full`` are the settings' crons."""
    crons = {job.name: job.cron for job in JOBS.values() if job.cron and is_possible(job, kinds, now)}
    return crons | {POLL: poll, FULL: full}
