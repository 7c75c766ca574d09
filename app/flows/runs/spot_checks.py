"""Spot checks: between complete reads a few random rows an hour are compared with the source, using calls that nothing else
needs.

What differs is written down as after a complete read, with its reason, and owed: the item path repairs it. Rows that only
the source has are found by complete reads, because a random row is one that we have.
"""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from app.domain import KINDS, Answer, Cause, Change, Kind, Listing, Record, Ref, StockCount, batches, key_of
from app.errors import DatabaseFault, TallyhookError
from app.flows.connections.health import paused, readable
from app.flows.deps import Deps
from app.flows.runs.drift import explained, unreadable
from app.flows.runs.reasons import Differing, background
from app.rules.calls.lanes import Lane, lane
from app.stores import owed
from app.stores.catalog import Key, StoredRow, checksums, full_reads, stored_rows
from app.stores.catalog.checksums import Edited
from app.stores.catalog.newer import LOCALLY_EDITED
from app.stores.guard import held_rows, holds
from app.stores.runs import drift, spot_checks
from app.stores.runs.drift import DriftRow
from app.stores.runs.spot_checks import Check

EVERY = timedelta(hours=1)
"""Between two turns of a kind."""

SPARE_KEYS = 4
"""How many times as many rows are drawn as are wanted: tombstones and rows that wait for a person are not looked at."""

log = structlog.get_logger()


class Turn(NamedTuple):
    """A kind of a connection whose rows are to be compared now."""

    connection: str
    kind: Kind


class _Row(NamedTuple):
    """A row that is to be compared, and the item to fetch for it."""

    key: Key
    ref: Ref


class _Seen(NamedTuple):
    """One of our rows, and what the source showed of it: no record, or one that is not ``readable``. ``edited`` says that
    its content is not what we wrote."""

    row: _Row
    held: StoredRow
    record: Record | None = None
    readable: bool = True
    edited: Edited | None = None

    @property
    def equal(self) -> bool:
        """Whether both have the same content."""
        return self.record is not None and not drift.field_changes(self.held.record, self.record)


def spot_check_in_thread(deps: Deps, rows: int) -> None:
    """``spot_check`` in a thread of its own: a vendor that hangs must not stop the clock."""
    turn = take_turn(deps) if rows else None
    if turn is not None:
        name = f"spot-check-{turn.connection}-{turn.kind}"
        threading.Thread(target=_logged, args=(deps, turn, rows), name=name, daemon=True).start()


def take_turn(deps: Deps) -> Turn | None:
    """The kind whose turn it is now; its next turn comes in an hour. Any number of processes may ask.

    Paused connections are left out, kinds that may not be read, and kinds that were never read whole.
    """
    now, waiting = deps.now(), paused(deps)
    for connection, source in deps.sources.items():
        if connection in waiting:
            continue
        may_read = readable(deps, connection, source.kinds)
        with deps.database.read() as conn:
            kinds = [kind for kind in spot_checks.due(conn, connection, now) if kind in may_read]
        for kind in kinds:
            with deps.database.begin() as conn:
                if spot_checks.claim(conn, connection, kind, now, now + EVERY):
                    return Turn(connection, kind)
    return None


def spot_check(deps: Deps, turn: Turn, rows: int) -> int:
    """Compare this many random rows of a kind with the source; returns how many could be compared. If calls are scarce or
    the source does not answer, the rest waits for another hour; live work meets the same trouble and reports it."""
    source, kind, looked = deps.sources[turn.connection], turn.kind, 0
    drawn = _draw(deps, turn, rows)
    for some in batches(drawn, source.batch_size(kind)):
        began = deps.now()
        try:
            with lane(Lane.SPARE):
                answer = source.fetch(sorted({row.ref for row in some}))
        except DatabaseFault:
            raise
        except TallyhookError as error:
            log.debug("spot_check_ended", connection=turn.connection, kind=kind, error=str(error))
            break
        seen = _compare(deps, turn, some, answer, began)
        _write(deps, turn, seen, began)
        looked += len(seen)
    return looked


def _logged(deps: Deps, turn: Turn, rows: int) -> None:
    try:
        spot_check(deps, turn, rows)
    except DatabaseFault:  # logged once, by the database
        return
    except Exception as error:  # the thread would die silently
        words = f"{type(error).__name__}: {error}"
        log.warning("spot_check_failed", connection=turn.connection, kind=turn.kind, error=words)


def _draw(deps: Deps, turn: Turn, rows: int) -> list[_Row]:
    """Random live rows, without those that wait for a person, because a difference would be repaired."""
    with deps.database.read() as conn:
        keys = spot_checks.random_keys(conn, *turn, SPARE_KEYS * rows)
        hold = holds.open_of(conn, *turn)
        held = {key[0] for key in keys if hold is not None and held_rows.has_items(conn, hold.id, [key[0]])}
    stored = stored_rows(deps.database, *turn, [key for key in keys if key[0] not in held])
    live = [_Row(key, Ref(turn.kind, _asked(key, row))) for key, row in stored.items() if not row.record.deleted]
    return live[:rows]


def _asked(key: Key, row: StoredRow) -> str:
    parent = row.record.parent_id if isinstance(row.record, Listing) else None
    return parent or key[0]


def _compare(deps: Deps, turn: Turn, rows: Sequence[_Row], answer: Answer, began: datetime) -> list[_Seen]:
    """The rows of which the answer says something new."""
    stored = stored_rows(deps.database, *turn, [row.key for row in rows])
    with deps.database.read() as conn:
        full = full_reads.get(conn, *turn)
    by_shape = full is not None and full.shape == checksums.shape_of(turn.kind)
    seen = [_seen(row, stored[row.key], answer, began) for row in rows if row.key in stored]
    checked = [_checked(one) if by_shape and not one.equal else one for one in seen if one is not None]
    return [one for one in checked if one.equal or not _is_older(one)]


def _seen(row: _Row, held: StoredRow, answer: Answer, began: datetime) -> _Seen | None:
    """``None`` if the answer proves nothing: somebody wrote the row meanwhile, or it says nothing of the row."""
    if held.record.deleted or held.read_at > began:
        return None
    if any({bad.owner, bad.external_id} & {row.ref.external_id, row.key[0]} for bad in answer.failed):
        return _Seen(row, held, readable=False)
    shown = (one for one in answer.records if KINDS[type(one)] is row.ref.kind and key_of(one) == row.key)
    record = next(shown, None)
    if record is None and not _is_absent(row, held, answer):
        return None
    return _Seen(row, held, record)


def _is_absent(row: _Row, held: StoredRow, answer: Answer) -> bool:
    """Whether the source does not have the row. A count of zero is as good as no row."""
    if isinstance(held.record, StockCount) and held.record.quantity == 0:
        return False
    if any(not bad.owner for bad in answer.failed) or row.ref in answer.not_yet:
        return False
    covers = (scope for scope in answer.covers if scope.kind is row.ref.kind)
    covered = any(scope.field is None or getattr(held.record, scope.field) == scope.value for scope in covers)
    return covered or row.ref in answer.gone


def _checked(seen: _Seen) -> _Seen:
    """A row that differs, marked as the checksum pass would mark it if somebody edited it here."""
    if not checksums.is_edited(seen.held):
        return seen
    edited = Edited(seen.row.key, seen.held.row_hash)
    return seen._replace(held=seen.held._replace(row_hash=LOCALLY_EDITED), edited=edited)


def _is_older(seen: _Seen) -> bool:
    """Whether the source shows an older state than the one we have from it: the answer came from a copy that lags."""
    own, shown = seen.held, seen.record
    return shown is not None and own.row_hash != LOCALLY_EDITED and shown.version < own.record.version


def _write(deps: Deps, turn: Turn, seen: Sequence[_Seen], began: datetime) -> None:
    """Store what was compared, and what differed and why; owe what differed."""
    wrong = [one for one in seen if not one.equal]
    differences = _differences(deps, turn, wrong, began)
    with deps.database.begin() as conn:
        now = deps.now()
        spot_checks.put(conn, *turn, [Check("/".join(one.row.key), one.equal) for one in seen], now)
        drift.write(conn, None, turn.connection, differences, now=now)
        checksums.mark_edited(conn, *turn, [one.edited for one in wrong if one.edited is not None])
        changes = [Change(*ref) for ref in sorted({one.row.ref for one in wrong})]
        fresh = owed.owe(conn, turn.connection, changes, Cause.RECONCILE, now)
    deps.queue.enqueue(fresh)


def _differences(deps: Deps, turn: Turn, wrong: Sequence[_Seen], began: datetime) -> list[DriftRow]:
    rows = [Differing(one.row.key, one.held, one.record) for one in wrong if one.readable]
    differences = explained(deps, *turn, rows, began, background(deps, *turn)) if rows else []
    return differences + [unreadable(turn.kind, "/".join(one.row.key)) for one in wrong if not one.readable]
