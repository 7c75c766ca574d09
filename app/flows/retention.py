"""Retention: what nobody will ask for any more is removed, a little with every call."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import structlog

from app.flows.audit import note
from app.flows.deps import Deps
from app.stores import pruning
from app.stores.pruning import AT_ONCE, EVENTS, LETTERS, SETTLEMENTS

PATIENCE = 0.6
"""Seconds that a call spends on each of letters, events and settlements."""

PAUSE = 0.02
"""Seconds between two transactions, for those who wait to write."""

log = structlog.get_logger()


def prune(deps: Deps, *, letters_days: int, inbox_days: int) -> dict[str, int]:
    """Remove dead letters in which nothing happened for ``letters_days``, and inbox events and settlements older than
    ``inbox_days``; 0 keeps all. Returns how many ``letters``, ``events`` and ``settlements`` went.

    At most some seconds' worth; the next call goes on. Any number may prune at once. Letters that wait for their turn
    in a replay stay, and the figures of removed settlements stay in their slots.
    """
    days = {LETTERS: letters_days, EVENTS: inbox_days, SETTLEMENTS: inbox_days}
    removed = {what: _prune(deps, what, old) if old > 0 else 0 for what, old in days.items()}
    if any(removed.values()):
        log.info("pruned", **removed)
    return removed


def _prune(deps: Deps, what: str, days: int) -> int:
    """One sort of row, until none is old any more or the time is over."""
    before, until = deps.now() - timedelta(days=days), time.monotonic() + PATIENCE
    removed = 0
    while ids := _next(deps, what, before):
        removed += _remove(deps, what, ids, before, days)
        if len(ids) < AT_ONCE - len(deps.sources) or time.monotonic() > until:
            break
        time.sleep(PAUSE)
    return removed


def _next(deps: Deps, what: str, before: datetime) -> list[int]:
    with deps.database.read() as conn:
        ids = pruning.expired(conn, what, before)
        kept = pruning.latest_events(conn, deps.sources) if what == EVENTS and ids else set()
    return [id for id in ids if id not in kept]


def _remove(deps: Deps, what: str, ids: list[int], before: datetime, days: int) -> int:
    with deps.database.begin() as conn:
        removed = pruning.remove(conn, what, ids, before)
        if what == LETTERS and removed:
            note(
                deps,
                conn,
                "letters.expire",
                f"{removed} letters",
                after={"removed": removed, "older_than_days": days},
            )
    return removed
