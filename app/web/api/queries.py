"""Operations that answer questions; every figure comes from the database."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from app.flows.catalog import critical, validate
from app.flows.deps import Deps
from app.flows.reports import condition, metrics
from app.flows.runs import history
from app.flows.upkeep import schedules
from app.rules.drift.drift_advice import advice_on
from app.rules.spellings import DRIFT_CAUSES, DRIFT_CHANGES, RUN_CAUSES, STATUSES, Words
from app.web.api.operation import SYNC, Operation
from app.web.api.pages import before_last, one_more, page
from app.web.api.params import (
    CriticalPage,
    Days,
    DriftPage,
    EditSchedule,
    FailedItemsPage,
    HistoryPage,
    Params,
    Samples,
    filters,
)
from app.web.api.responses import CriticalItems, Differences, Jobs, Rows
from app.web.api.spelling import camel


def status(deps: Deps, connection: str, params: Params) -> dict[str, Any]:
    """What the connection holds, owes and does now."""
    return camel(condition.condition(deps, connection))


def health(deps: Deps, connection: str, params: Params) -> dict[str, Any]:
    """Whether all is well; if not, what is wrong, in words."""
    return camel(condition.health(deps, connection))


def show_metrics(deps: Deps, connection: str, params: Days) -> dict[str, Any]:
    """The figures of the last days."""
    return camel(metrics.metrics(deps, connection, params.days))


def show_validation(deps: Deps, connection: str, params: Samples) -> dict[str, Any]:
    """Whether the data is right."""
    return camel(validate.validate(deps, connection, samples=params.samples, anew=params.anew))


def show_history(deps: Deps, connection: str, params: HistoryPage) -> Rows:
    """Runs, newest first."""
    wanted = filters(params)
    _understand(wanted, status=STATUSES, cause=RUN_CAUSES)
    runs = history.list_runs(deps, connection, **_one_more(wanted))
    found = [camel(msgspec.to_builtins(run)) for run in runs]
    rows, following = page(f"/api/sync-{quote(connection)}/history", params, found, before_last)
    return Rows(rows, following)


def _understand(wanted: dict[str, Any], **words: Words) -> None:
    """Replace other spellings by the words they mean."""
    wanted.update({name: known.read(wanted[name]) for name, known in words.items() if name in wanted})


def show_failed_items(deps: Deps, connection: str, params: FailedItemsPage) -> Rows:
    """Items that runs could not sync, newest first."""
    failed = history.list_failed_items(deps, connection, **_one_more(filters(params)))
    found = [row._asdict() for row in failed]
    rows, following = page(f"/api/sync-{quote(connection)}/failed-items", params, found, before_last)
    return Rows(camel(rows), following)


def show_drift(deps: Deps, connection: str, params: DriftPage) -> Differences:
    """Differences that runs found, newest first; the rows a dry run would write are such differences."""
    wanted = filters(params)
    _understand(wanted, cause=DRIFT_CAUSES, change=DRIFT_CHANGES)
    differences, summary = history.list_differences(deps, connection, **_one_more(wanted))
    found = [row._asdict() for row in differences]
    rows, following = page(f"/api/sync-{quote(connection)}/drift", params, found, before_last)
    advised = [{**row, "advice": advice_on(row["cause"])} for row in rows]
    return Differences(
        camel(advised), None if summary is None else camel([one._asdict() for one in summary]), following
    )


def show_critical(deps: Deps, connection: str, params: CriticalPage) -> CriticalItems:
    """Listings that are out of stock or low, by their id."""
    counts, items = critical.page(deps, connection, **_one_more(filters(params)))
    after = lambda rows: {"after": rows[-1]["external_id"]}  # noqa: E731 - named like its neighbour below
    rows, following = page(
        f"/api/sync-{quote(connection)}/critical", params, [item._asdict() for item in items], after
    )
    return CriticalItems(rows=camel(rows), next=following, **counts)


def show_schedule(deps: Deps, connection: str, params: Params) -> Jobs:
    """Every job and its next times."""
    return Jobs(camel(schedules.show(deps, connection)))


def edit_schedule(deps: Deps, connection: str, params: EditSchedule) -> dict[str, Any]:
    """Set when a job runs; fields that are not given stay."""
    kept = {row["job"]: row for row in schedules.show(deps, connection)}.get(params.job, {})
    wanted = {"cron": "", "timezone": "UTC", "enabled": True, **kept, **filters(params)}
    edited = (wanted["cron"], wanted["timezone"], wanted["enabled"])
    return camel(schedules.save(deps, connection, params.job, *edited))


def _one_more(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {**wanted, "limit": one_more(wanted["limit"])}


def _reads_much(path: str, call: Callable[..., Any], summary: str, description: str) -> Operation:
    return Operation("GET", SYNC + path, call, summary, description, heavy=True)


OPERATIONS = (
    _reads_much("/status", status, "What a connection stores, owes and does now", "the connection's state"),
    _reads_much("/health", health, "What is wrong, in words", "healthy when problems is empty"),
    _reads_much("/metrics", show_metrics, "The figures of the last days", "figures; null means unknown"),
    _reads_much("/history", show_history, "Past and present runs", "a page of runs"),
    _reads_much("/critical", show_critical, "What is out of stock or low", "a page"),
    _reads_much("/validate", show_validation, "Is the data right?", "each check's finding"),
    _reads_much("/failed-items", show_failed_items, "Items that failed", "a page"),
    _reads_much("/drift", show_drift, "Differences that runs found", "a page"),
    Operation("GET", SYNC + "/schedule", show_schedule, "When jobs run", "every job and its next times"),
    Operation(
        "PUT",
        SYNC + "/schedule",
        edit_schedule,
        "Set when a job runs",
        "the job with its next times, what it costs, and a warning when the call budget is too small for all",
    ),
)
