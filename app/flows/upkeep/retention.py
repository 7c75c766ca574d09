"""Retention: removes old rows that nobody will need, a few with every call."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import structlog
from sqlalchemy import Connection

from app.domain.decoding import decode
from app.flows.access.audit import note
from app.flows.access.audit_archive import archive
from app.flows.access.sign_in_places import KNOWN_FOR
from app.flows.deps import Deps
from app.flows.isolated import isolated
from app.rules.runs.checkpoint import Checkpoint
from app.stores.access import sign_ins
from app.stores.history.feed import begin_again, note_removed
from app.stores.history.rows import forget
from app.stores.runs import budgets
from app.stores.upkeep import pruning
from app.stores.upkeep.pruning import BATCH_SIZE, DONE_LETTERS, EVENTS, EXPIRIES, HISTORY, LETTERS, SETTLEMENTS, Key

PATIENCE = 0.6
"""Seconds that a call spends on each of the large tables: letters, events, settlements, differences."""

BRIEF = 0.1
"""Seconds that a call spends on each other sort of row."""

PAUSE = 0.02
"""Seconds between two transactions, so that others can write."""

_LARGE = frozenset({LETTERS, EVENTS, SETTLEMENTS, pruning.DRIFT, pruning.DRY_DRIFT, HISTORY})

log = structlog.get_logger()


@dataclass(frozen=True)
class Keep:
    """For how many days each sort of row is kept; 0 keeps it for ever.

    ``done_letters`` are letters that were replayed or discarded, or whose item was synced since. ``runs`` go with their
    failed items that were synced since, and after their differences (``drift``); ``dry_runs`` go with theirs. ``alerts``
    are closed ones, with outages, decided holds and ended replays. ``figures`` are the sums of settlements by ten minutes,
    the calls of each hour and the agreement of each day, ``heartbeats`` those of processes long gone and other traces
    (refused deliveries, restored backups, rows deleted by others, spot checks, products before doubtful changes),
    ``history`` the changes of products and stock, ``tombstones`` the rows that only say that an id we never held is gone,
    ``answers`` cached ones and call budgets that nobody uses.
    """

    done_letters: int = 365
    drift: int = 365
    runs: int = 365
    dry_runs: int = 14
    alerts: int = 365
    figures: int = 400
    heartbeats: int = 30
    history: int = 400
    tombstones: int = 30
    answers: int = 30
    audit: int = 400

    def sorts(self) -> Iterator[tuple[str, int]]:
        """Each sort of row (``stores.upkeep.pruning``) and its days, in the order of removal."""
        yield from ((what, getattr(self, expiry.keep)) for what, expiry in EXPIRIES.items() if expiry.keep)


def prune(
    deps: Deps, *, letters_days: int, inbox_days: int, keep: Keep | None = None, archives: Path | None = None
) -> dict[str, int]:
    """Remove dead letters that nobody touched for ``letters_days``, inbox events and settlements older than
    ``inbox_days``, and everything else as ``keep`` says; 0 days keep all.

    Returns how many ``letters``, ``events`` and ``settlements`` were removed, and the number of every other sort that is
    not 0. Takes some seconds at most; the next call goes on. Any number of processes may prune at once. Letters that wait
    for a replay stay, and so do the sums of removed settlements. The audit log is archived into the folder ``archives``;
    without one it is left alone.
    """
    days = {LETTERS: letters_days, EVENTS: inbox_days, SETTLEMENTS: inbox_days}
    removed = dict.fromkeys(days, 0)
    sorts = {what: partial(_prune, deps, what, old) for what, old in days.items()}
    if keep is not None:
        sorts |= dict(_others(deps, keep, archives))

    def remove(what: str) -> None:
        if count := sorts[what]():
            removed[what] = count

    isolated(remove, sorts, event="not_pruned")
    with deps.database.begin() as conn:
        begin_again(conn)
    if any(removed.values()):
        log.info("pruned", **removed)
    return removed


def _others(deps: Deps, keep: Keep, archives: Path | None) -> Iterator[tuple[str, partial[int]]]:
    for what, days in keep.sorts():
        yield what, partial(_prune, deps, what, days)
    if keep.dry_runs:
        yield "pages", partial(_drop_pages, deps, deps.now() - timedelta(days=keep.dry_runs))
    if keep.answers:
        before = deps.now() - timedelta(days=keep.answers)
        yield "budgets", partial(_in_one, deps, partial(budgets.remove_unused, before=before))
        left = partial(sign_ins.remove_old, before=before, browsers_before=deps.now() - KNOWN_FOR)
        yield "sign-ins", partial(_in_one, deps, left)
    if keep.audit and archives is not None:
        yield "audit", partial(archive, deps, archives, keep.audit)


def _in_one(deps: Deps, remove: Callable[[Connection], int]) -> int:
    with deps.database.begin() as conn:
        return remove(conn)


def _prune(deps: Deps, what: str, days: int) -> int:
    """Remove one sort of row, until no old row is left or the time is up."""
    if days <= 0:
        return 0
    before = deps.now() - timedelta(days=days)
    until = time.monotonic() + (PATIENCE if what in _LARGE else BRIEF)
    removed = 0
    while keys := _next(deps, what, before):
        removed += _remove(deps, what, keys, before, days)
        if len(keys) < BATCH_SIZE - len(deps.sources) or time.monotonic() > until:
            break
        time.sleep(PAUSE)
    return removed


def _next(deps: Deps, what: str, before: datetime) -> list[Key]:
    with deps.database.read() as conn:
        keys = pruning.expired(conn, what, before)
        kept = pruning.latest_events(conn, deps.sources) if what == EVENTS and keys else set()
    return [key for key in keys if key not in kept]


def _remove(deps: Deps, what: str, keys: list[Key], before: datetime, days: int) -> int:
    with deps.database.begin() as conn:
        if what == HISTORY:
            note_removed(conn, [key[0] for key in keys], deps.now())
        removed = pruning.remove(conn, what, keys, before)
        if what in (LETTERS, DONE_LETTERS) and removed:
            after = {"removed": removed, "older_than_days": days}
            note(deps, conn, "letters.expire", f"{removed} letters", after=after)
        if what == HISTORY and removed:
            forget(conn, before)
    return removed


def _drop_pages(deps: Deps, before: datetime) -> int:
    """Remove pages of runs that nobody resumed; a run that is resumed after all reads its kind again."""
    with deps.database.read() as conn:
        run_ids = pruning.stale_pages(conn, before)
    removed = 0
    for run_id in run_ids:
        with deps.database.begin() as conn:
            text = pruning.ended_run(conn, run_id)
            if text is not None:
                restarted = decode(text, Checkpoint).restart_stage()
                removed += pruning.drop_pages(conn, run_id, msgspec.json.encode(restarted).decode())
    return removed
