"""Operations that answer questions; every figure comes from the database."""

from typing import TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from app.flows.catalog import critical, validate
from app.flows.catalog.validate import Validation
from app.flows.deps import Deps
from app.flows.reports import condition, metrics
from app.flows.reports.condition import Condition, Health
from app.flows.reports.metrics import Metrics
from app.flows.runs import history
from app.flows.runs.history import DriftWanted, FailedItemsWanted, RunsWanted
from app.flows.upkeep import schedules
from app.flows.upkeep.schedules import SavedSchedule
from app.rules.drift.drift_advice import advice_on
from app.rules.spellings import DRIFT_CAUSES, DRIFT_CHANGES, RUN_CAUSES, STATUSES, Words
from app.web.api.operation import SYNC, Operations
from app.web.api.params import (
    CriticalPage,
    Days,
    DriftPage,
    EditSchedule,
    FailedItemsPage,
    HistoryPage,
    Samples,
)
from app.web.api.responses import CriticalItems, Differences, Jobs, Rows, given, one_more, page, rows_page

T = TypeVar("T")

operations = Operations()


@operations.get(SYNC + "/status", "the connection's state", heavy=True)
def status(deps: Deps, connection: str) -> Condition:
    """What a connection stores, owes and does now."""
    return condition.condition(deps, connection)


@operations.get(SYNC + "/health", "healthy when problems is empty", heavy=True)
def health(deps: Deps, connection: str) -> Health:
    """What is wrong, in words."""
    return condition.health(deps, connection)


@operations.get(SYNC + "/metrics", "figures; null means unknown", heavy=True)
def show_metrics(deps: Deps, connection: str, params: Days) -> Metrics:
    """The figures of the last days."""
    return metrics.metrics(deps, connection, params.days)


@operations.get(SYNC + "/history", "a page of runs", heavy=True)
def show_history(deps: Deps, connection: str, params: HistoryPage) -> Rows:
    """Past and present runs."""
    wanted = _wanted(params, RunsWanted, status=STATUSES, cause=RUN_CAUSES)
    runs = history.list_runs(deps, connection, wanted)
    return rows_page(_path(connection, "history"), params, runs)


@operations.get(SYNC + "/critical", "a page", heavy=True)
def show_critical(deps: Deps, connection: str, params: CriticalPage) -> CriticalItems:
    """What is out of stock or low."""
    limit = one_more(params.limit)
    found = critical.page(deps, connection, limit=limit, after=given(params.after), anew=params.anew)
    rows, following = page(_path(connection, "critical"), params, found.items, after="after", by="external_id")
    age = found.age
    return CriticalItems(found.counts, age.found_at, age.age_seconds, age.took_ms, rows, following)


@operations.get(SYNC + "/validate", "each check's finding", heavy=True)
def show_validation(deps: Deps, connection: str, params: Samples) -> Validation:
    """Is the data right?"""
    return validate.validate(deps, connection, samples=params.samples, anew=params.anew)


@operations.get(SYNC + "/failed-items", "a page", heavy=True)
def show_failed_items(deps: Deps, connection: str, params: FailedItemsPage) -> Rows:
    """Items that failed, each with its reason."""
    failed = history.list_failed_items(deps, connection, _wanted(params, FailedItemsWanted))
    return rows_page(_path(connection, "failed-items"), params, failed)


@operations.get(SYNC + "/drift", "a page", heavy=True)
def show_drift(deps: Deps, connection: str, params: DriftPage) -> Differences:
    """Differences that runs found."""
    wanted = _wanted(params, DriftWanted, cause=DRIFT_CAUSES, change=DRIFT_CHANGES)
    differences, summary = history.list_differences(deps, connection, wanted)
    rows, following = page(_path(connection, "drift"), params, differences)
    advised = [{**row._asdict(), "advice": advice_on(row.cause)} for row in rows]
    return Differences(advised, summary, following)


@operations.get(SYNC + "/schedule", "every job and its next times")
def show_schedule(deps: Deps, connection: str) -> Jobs:
    """When jobs run."""
    return Jobs(schedules.show(deps, connection))


@operations.put(
    SYNC + "/schedule",
    "the job with its next times, what it costs, and a warning when the call budget is too small for all",
)
def edit_schedule(deps: Deps, connection: str, params: EditSchedule) -> SavedSchedule:
    """Set when a job runs."""
    edited = (given(params.cron), given(params.timezone), given(params.enabled))
    return schedules.save(deps, connection, params.job, *edited)


def _wanted(params: HistoryPage | FailedItemsPage | DriftPage, shape: type[T], **words: Words) -> T:
    """The filters of a page as the flows know them, with one row more than it holds, and with other spellings replaced by
    the ``words`` they mean."""
    fields = msgspec.structs.asdict(params).items()
    wanted = {
        name: words[name].read(value) if name in words else value for name, value in fields if value is not UNSET
    }
    return shape(**{**wanted, "limit": one_more(params.limit)})


def _path(connection: str, page: str) -> str:
    return f"/api/sync-{quote(connection)}/{page}"
