"""Corrects the cause of a difference when later evidence comes: an event hours late turns ``missed`` into ``late``."""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from app.domain import Kind
from app.flows.deps import Deps
from app.flows.isolated import isolated
from app.flows.runs.reasons import names_of_row
from app.rules.drift.drift import Reason
from app.rules.drift.reasons import CORRECTED_BY_AN_EVENT, MOST_LATE, UNDER_WAY, corrected
from app.stores.catalog import stored_rows
from app.stores.runs import drift, item_signals
from app.stores.runs.drift import Difference

BATCH_SIZE = 300

log = structlog.get_logger()


def correct_reasons(deps: Deps) -> int:
    """Judge again the differences of the last two days that no event had announced; returns how many were corrected. Any
    number of processes may do it at once."""
    counts: list[int] = []
    isolated(
        lambda connection: counts.append(_correct(deps, connection)), deps.sources, event="reasons_not_corrected"
    )
    return sum(counts)


def _correct(deps: Deps, connection: str) -> int:
    since, last, count = deps.now() - MOST_LATE - timedelta(hours=1), 0, 0
    while True:
        with deps.database.read() as conn:
            rows = drift.with_causes_since(conn, connection, CORRECTED_BY_AN_EVENT, since, last, BATCH_SIZE)
        if not rows:
            break
        last = rows[-1].id
        for kind in sorted({row.kind for row in rows}):
            count += _correct_kind(deps, connection, Kind(kind), [row for row in rows if row.kind == kind])
    if count:
        log.info("reasons_corrected", connection=connection, rows=count)
    return count


def _correct_kind(deps: Deps, connection: str, kind: Kind, rows: Sequence[Difference]) -> int:
    keys = {row.id: tuple(row.item.split("/")) for row in rows}
    held = stored_rows(deps.database, connection, kind, [key for key in keys.values() if _is_whole(kind, key)])
    names = {id: names_of_row(key, held.get(key)) for id, key in keys.items()}
    oldest = min(row.found_at for row in rows) - UNDER_WAY
    with deps.database.read() as conn:
        every = sorted({name for some in names.values() for name in some})
        signals = item_signals.signals_of(conn, connection, kind, every, oldest)
    judged = [(row.id, _corrected(deps, row, names[row.id], signals)) for row in rows]
    corrections = [(id, reason) for id, reason in judged if reason is not None]
    if corrections:
        with deps.database.begin() as conn:
            for id, reason in corrections:
                drift.correct(conn, id, reason.cause, reason.why, deps.now())
    return len(corrections)


def _corrected(deps: Deps, row: Difference, names: Sequence[str], signals: item_signals.ItemSignals) -> Reason | None:
    events = [
        change
        for name in names
        for change in signals.settled.get(name, ())
        if change.heard >= row.found_at - UNDER_WAY
    ]
    return corrected(row.cause, row.found_at, sorted(events, key=lambda change: change.at), deps.now())


def _is_whole(kind: Kind, key: Sequence[str]) -> bool:
    """Whether a key was split where its parts were joined, because an id may contain a slash."""
    return len(key) == (3 if kind is Kind.STOCK else 1)
