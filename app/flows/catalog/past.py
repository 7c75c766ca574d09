"""History before the installation: a source's own record of what changed its counts is read once, after the first load.

It is bulk work of the lowest sort: calls that nothing else needs, some listings at a time. The rows of a listing and the
note of how far the reading has come are one commit, so it goes on after a crash and never writes a row twice. What fails is
tried again later; the log and the status say so.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog
from sqlalchemy import Connection

from app.domain import BadPast, Kind, PastChange, Spot
from app.errors import BudgetSpent, DatabaseFault, TallyhookError
from app.flows.connections.health import paused, readable
from app.flows.deps import Deps
from app.rules.calls.lanes import Lane, lane
from app.rules.past import Held, PastRow, reckon
from app.sources.base import InventoryLedger, Source
from app.stores.catalog import watermarks
from app.stores.history import CREATED, HAND, PAST, known_since, past
from app.stores.history.past import HeldCount, OwnChange, PastCount, PastNote


class PastState(msgspec.Struct, frozen=True):
    """How far a source's own record of its counts is read: ``state`` is ``waiting``, ``reading``, ``failing`` (with the
    ``error``) or ``read``."""

    state: str
    error: str | None


DAYS = 400
"""So far back the record is read, in days."""

LISTINGS = 50
"""So many listings are asked for at once: few, because a busy one changed ten thousand times a year."""

ROWS = 1_000
"""A commit ends when it has so many rows."""

WORK = 60.0
"""Seconds after which a turn ends; another process may take the next one."""

CLAIM = timedelta(minutes=5)
"""After so long a turn counts as dead."""

AGAIN, LATER = timedelta(seconds=20), timedelta(minutes=15)
"""When reading goes on where calls are scarce, and after a failure."""

log = structlog.get_logger()

Counts = Mapping[Spot, Held]


def read_past_in_thread(deps: Deps, days: int = DAYS) -> None:
    """``read_past`` in a thread of its own: a vendor that hangs must not stop the clock."""
    connection = take_turn(deps)
    if connection is not None:
        name = f"past-{connection}"
        threading.Thread(target=_logged, args=(deps, connection, days), name=name, daemon=True).start()


def take_turn(deps: Deps) -> str | None:
    """A connection whose past is to be read on now, claimed for this process; any number of processes may ask.

    Its stock was loaded completely, its source keeps a record, and that has not been read to the end.
    """
    now, waiting = deps.now(), paused(deps)
    for connection, source in deps.sources.items():
        may_read = isinstance(source, InventoryLedger) and readable(deps, connection, [Kind.STOCK])
        if may_read and connection not in waiting and _claim(deps, connection, now):
            return connection
    return None


def _claim(deps: Deps, connection: str, now: datetime) -> bool:
    with deps.database.read() as conn:
        is_loaded = watermarks.get(conn, connection, Kind.STOCK) and known_since(conn, connection)
        note = past.note(conn, connection)
    if not is_loaded or (note is not None and (note.done or note.next_at > now)):
        return False
    with deps.database.begin() as conn:
        past.begin(conn, connection, now)
        note = past.note(conn, connection)
        return note is not None and past.claim(conn, note, now + CLAIM)


def read_past(deps: Deps, connection: str, days: int = DAYS) -> None:
    """Read on where the last turn ended, for ``WORK`` seconds at most. A failure of the source ends the turn."""
    until = time.monotonic() + WORK
    try:
        while _read_some(deps, connection, deps.now() - timedelta(days=days)):
            if time.monotonic() >= until:
                return _rest(deps, connection, timedelta())
    except DatabaseFault:
        raise
    except BudgetSpent:
        _rest(deps, connection, AGAIN)
    except TallyhookError as error:
        log.warning("past_unread", connection=connection, error=str(error))
        _rest(deps, connection, LATER, deps.redact(str(error)))


def describe(conn: Connection, connection: str, source: Source) -> PastState | None:
    """How far the past is read; ``None`` for a source without a record."""
    if not isinstance(source, InventoryLedger):
        return None
    note = past.note(conn, connection)
    if note is None:
        return PastState("waiting", None)
    return PastState("read" if note.done else "failing" if note.error else "reading", note.error)


def _logged(deps: Deps, connection: str, days: int) -> None:
    try:
        read_past(deps, connection, days)
    except DatabaseFault:  # logged once, by the database
        return
    except Exception as error:  # the thread would die silently
        log.warning("past_failed", connection=connection, error=f"{type(error).__name__}: {error}")


def _rest(deps: Deps, connection: str, wait: timedelta, error: str | None = None) -> None:
    with deps.database.begin() as conn:
        note = past.note(conn, connection)
        if note is not None and not note.done:
            past.rest(conn, note, deps.now() + wait, error)


def _read_some(deps: Deps, connection: str, since: datetime) -> bool:
    """Read the past of the next listings and write it; ``False`` when there is nothing more to do here."""
    with deps.database.read() as conn:
        note, loaded_at = past.note(conn, connection), known_since(conn, connection)
        if note is None or note.done or loaded_at is None:
            return False
        ids = past.listings_after(conn, connection, note.place, LISTINGS)
        held, own = past.held_counts(conn, connection, ids), past.own_changes(conn, connection, ids)
    if not ids:
        _end(deps, connection, note)
        return False
    source = deps.bulk_sources[connection]
    if not isinstance(source, InventoryLedger):
        return False
    changes, bad = _changes(source, ids, since)
    if bad:
        log.warning("past_unreadable", connection=connection, records=len(bad), error=bad[0].error)
    rows = {}
    for id in ids:
        mine = [one for one in own if one.external_id == id]
        counts = joined([one for one in held if one.listing_id == id], mine, loaded_at)
        begin = _known_from(id, bad, since)
        if counts and begin is not None:
            rows[id] = reckon(counts, changes.get(id, []), since=begin, loaded_at=loaded_at)
    return _write(deps, connection, note, ids, rows)


def _end(deps: Deps, connection: str, note: PastNote) -> None:
    with deps.database.begin() as conn:
        past.end(conn, note, deps.now())
    log.info("past_read", connection=connection)


def _changes(
    source: InventoryLedger, ids: Sequence[str], since: datetime
) -> tuple[dict[str, list[PastChange]], list[BadPast]]:
    """The recorded changes of some listings, and what of the record cannot be read."""
    changes: dict[str, list[PastChange]] = {}
    bad: list[BadPast] = []
    with lane(Lane.SPARE):
        for page in source.past_changes(ids, since):
            bad.extend(page.failed)
            for one in page.changes:
                changes.setdefault(one.listing_id, []).append(one)
    return changes, bad


def _known_from(listing_id: str, bad: Sequence[BadPast], since: datetime) -> datetime | None:
    """From when on all changes of a listing are known; ``None`` if that cannot be known."""
    mine = [one.occurred_at for one in bad if one.listing_id in ("", listing_id)]
    if None in mine:
        return None
    return max([since, *(at + timedelta(microseconds=1) for at in mine if at is not None)])


def joined(held: Sequence[HeldCount], own: Sequence[OwnChange], loaded_at: datetime) -> Counts | None:
    """A listing's counts as they were loaded, for the reckoning; ``None`` where our own history does not tell.

    That is where somebody changed a row by hand, a count came while the first load ran, or has gone since.
    """
    first: dict[Spot, OwnChange] = {}
    for one in own:
        first.setdefault(Spot(one.location_id, one.state), one)
    came_early = any(one.op == CREATED and one.changed_at <= loaded_at for one in first.values())
    if came_early or any(one.op == PAST or one.written_by == HAND for one in own):
        return None
    counts: dict[Spot, Held] = {}
    spots = {Spot(one.location_id, one.state): one for one in held}
    for spot in spots.keys() | first.keys():
        count, change = spots.get(spot), first.get(spot)
        if change is not None and change.op == CREATED:
            continue
        loaded = change.quantity_before if change is not None else count.quantity if count is not None else None
        if count is None or count.modified_at is None or loaded is None:
            return None
        counts[spot] = Held(count.quantity, count.modified_at, loaded, change is not None)
    return counts


def _write(
    deps: Deps, connection: str, note: PastNote, ids: Sequence[str], rows: Mapping[str, Sequence[PastRow]]
) -> bool:
    """Write the rows listing by listing, some listings to a commit; ``False`` when another process has gone on instead."""
    waiting: list[PastCount] = []
    for place, id in enumerate(ids, 1):
        waiting += [PastCount(id, *row.spot, row.at, row.before, row.after) for row in rows.get(id, ())]
        if len(waiting) < ROWS and place < len(ids):
            continue
        with deps.database.begin() as conn:
            now = deps.now()
            if not past.move(conn, note, id, now):
                return False
            past.put(conn, connection, waiting, now)
            past.rest(conn, note, now + CLAIM)
        note, waiting = note._replace(place=id), []
    return True
