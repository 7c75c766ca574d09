"""The operations of one connection: its runs, its state, its schedule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.domain import Role, Strategy
from app.web.api import holds, questions, runs
from app.web.api.answers import CriticalItems, Differences, FailedRuns, Jobs, OwedItems, Rows, RunLink, StuckRuns
from app.web.api.asked import (
    Asked,
    CriticalPage,
    Days,
    DriftPage,
    EditSchedule,
    FailedItemsPage,
    HistoryPage,
    OfItem,
    OfRun,
    RunOptions,
    Samples,
    StartRun,
)
from app.web.api.operation import Operation

BASE = "/api/sync-{connection}"

_STARTED = "the run waits for a worker, or is running already"
_OBJECT = dict[str, Any]


def _starts(path: str, strategy: Strategy, summary: str) -> Operation:
    return Operation(
        method="POST",
        path=BASE + path,
        summary=summary,
        call=runs.starting(strategy),
        asks=RunOptions,
        in_body=True,
        answers=RunLink,
        says=_STARTED,
        status=202,
        errors=(408, 409, 413, 422),
    )


def _asks(path: str, summary: str, call: Any, answers: Any, says: str, asks: type[Asked] = Asked) -> Operation:
    return Operation("GET", BASE + path, summary, call, answers, says, asks)


def _reads_much(path: str, summary: str, call: Any, answers: Any, says: str, asks: type[Asked] = Asked) -> Operation:
    return replace(_asks(path, summary, call, answers, says, asks), heavy=True)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="POST",
        path=BASE,
        summary="Start a run",
        call=runs.start_run,
        asks=StartRun,
        in_body=True,
        answers=RunLink,
        says=_STARTED,
        status=202,
        errors=(408, 409, 413, 422),
    ),
    _starts("/inventory", Strategy.INVENTORY, "Start a run that reads stock levels"),
    _starts("/critical", Strategy.CRITICAL, "Start a run that reads what is out of stock or low"),
    _starts("/vendors", Strategy.VENDORS, "Start a run that reads vendors"),
    _starts("/retry-failed", Strategy.RETRY, "Start a run that reads only the items that failed"),
    _asks("/runs/{id}", "Show a run", runs.show_run, _OBJECT, "the run as it is now", OfRun),
    Operation(
        method="POST",
        path=BASE + "/runs/{id}/cancel",
        summary="Cancel a run",
        call=runs.cancel,
        asks=OfRun,
        answers=RunLink,
        says="it is cancelled; its worker stops within a page",
        status=202,
        errors=(409, 422),
    ),
    Operation(
        method="POST",
        path=BASE + "/runs/{id}/resume",
        summary="Resume a failed or cancelled run",
        call=runs.resume,
        asks=OfRun,
        answers=RunLink,
        says="it continues where it stopped",
        status=202,
        errors=(409, 422),
    ),
    Operation(
        method="POST",
        path=BASE + "/items/{externalId:path}",
        summary="Fetch one item now",
        call=runs.sync_item,
        asks=OfItem,
        answers=OwedItems,
        says="the item is owed and will be fetched at once",
        status=202,
        errors=(422,),
    ),
    _reads_much(
        "/status", "What a connection stores, owes and does now", questions.status, _OBJECT, "the connection's state"
    ),
    _reads_much("/health", "What is wrong, in words", questions.health, _OBJECT, "healthy when problems is empty"),
    _reads_much(
        "/metrics",
        "The figures of the last days",
        questions.show_metrics,
        _OBJECT,
        "figures; null means unknown",
        Days,
    ),
    _reads_much("/history", "Past and present runs", questions.show_history, Rows, "a page of runs", HistoryPage),
    _reads_much(
        "/critical", "What is out of stock or low", questions.show_critical, CriticalItems, "a page", CriticalPage
    ),
    _reads_much(
        "/validate", "Is the data right?", questions.show_validation, _OBJECT, "each check's finding", Samples
    ),
    _asks("/check-stuck", "Runs whose worker is gone", runs.show_stuck, StuckRuns, "those of this connection"),
    Operation(
        method="POST",
        path=BASE + "/check-stuck",
        summary="Fail runs whose worker is gone",
        call=runs.fail_stuck,
        answers=FailedRuns,
        says="the runs that were failed just now",
        role=Role.OPERATOR,
    ),
    _reads_much("/failed-items", "Items that failed", questions.show_failed_items, Rows, "a page", FailedItemsPage),
    _reads_much("/drift", "Differences that runs found", questions.show_drift, Differences, "a page", DriftPage),
    _asks(
        "/holds", "Batches that wait for a person", holds.list_holds, holds.Holds, "each with the rules that held it"
    ),
    _asks(
        "/holds/{id}", "Show a held batch", holds.show_hold, _OBJECT, "rules, figures and sample rows", holds.OfHold
    ),
    Operation(
        method="POST",
        path=BASE + "/holds/{id}/release",
        summary="Write the rows of a held batch",
        call=holds.release_hold,
        of=holds.OfHold,
        asks=holds.Release,
        in_body=True,
        answers=_OBJECT,
        says="exactly its rows are written, except those for which something newer was written since",
        errors=(408, 409, 413, 422),
    ),
    Operation(
        method="POST",
        path=BASE + "/holds/{id}/dismiss",
        summary="Dismiss a held batch",
        call=holds.dismiss_hold,
        asks=holds.OfHold,
        answers=_OBJECT,
        says="our rows stay; a later implausible read is held again",
        errors=(409, 422),
    ),
    _asks("/schedule", "When jobs run", questions.show_schedule, Jobs, "every job and its next times"),
    Operation(
        method="PUT",
        path=BASE + "/schedule",
        summary="Set when a job runs",
        call=questions.edit_schedule,
        asks=EditSchedule,
        in_body=True,
        answers=_OBJECT,
        says="the job with its next times, what it costs, and a warning when the call budget is too small for all",
        errors=(408, 413, 422),
    ),
)
