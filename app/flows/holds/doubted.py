"""Judges a read without an end (a poll, a window, items by id) together with what is held of its kind already."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection

from app.domain import Absent, batches, key_of
from app.flows.deps import Deps
from app.flows.holds.hold_back import Held, give_up, keep, leave_unread
from app.flows.holds.holds import finish_released, held_batch
from app.flows.holds.plausible import Verdict, examine, learn
from app.rules.guard.guard import FIRST_LOAD
from app.stores.catalog.spool import Spool
from app.stores.guard import Batch, holds
from app.stores.guard.foreseen import NOTHING, Foreseen


class Doubt(NamedTuple):
    """What the guard says of a batch. ``hold`` is the one that waits, and whether the batch ``touches`` its items."""

    batch: Batch
    verdict: Verdict
    hold: dict[str, Any] | None
    touches: bool


def doubted(
    deps: Deps,
    connection: str,
    spool: Spool,
    read_at: datetime,
    deeds: Set[str],
    *,
    unread: Set[str],
    run_id: int | None = None,
) -> Held | None:
    """What of a read without an end is held now, as it is implausible together with what is held already. ``unread`` are
    ids of what it showed and could not read."""
    finish_released(deps, connection, spool.kind)
    leave_unread(deps, connection, spool.kind, unread)
    doubt = judged(deps, connection, Batch(spool.kind, (spool,), first=deeds == FIRST_LOAD), deeds)
    held = settled(deps, connection, doubt, read_at, run_id=run_id)
    if held is None and deeds > FIRST_LOAD and spool:
        learn(deps, connection, spool.kind, doubt.verdict)
    return held


def judged(deps: Deps, connection: str, batch: Batch, deeds: Set[str], foreseen: Foreseen = NOTHING) -> Doubt:
    """Judge a batch; nothing is written. What was held stays held: a batch that shows some of it again is judged with all
    of it."""
    with deps.database.read() as conn:
        hold = holds.open_of(conn, connection, batch.kind)
        touches = hold is not None and _touches(conn, hold["id"], batch)
    verdict = examine(deps, connection, batch, deeds, foreseen)
    if hold is not None and (touches or verdict.reason is not None):
        verdict = examine(deps, connection, _with_held(deps, hold, batch), deeds, foreseen)
    return Doubt(batch, verdict, hold, touches)


def settled(
    deps: Deps,
    connection: str,
    doubt: Doubt,
    read_at: datetime,
    *,
    absent: Absent | None = None,
    run_id: int | None = None,
) -> Held | None:
    """Hold what is doubted, or end the hold that the batch has made plausible. ``absent`` says what becomes of rows without
    a record, unless the hold that waits does."""
    kind, hold = doubt.batch.kind, doubt.hold
    shown = {*map(key_of, doubt.batch), *doubt.batch.vanished}
    if doubt.verdict.reason is not None:
        was = Absent(hold["absent"]) if hold is not None and hold["absent"] else absent
        summary = {"rows_read": sum(map(len, doubt.batch.records))}
        return keep(
            deps,
            connection,
            kind,
            doubt.verdict,
            read_at=read_at,
            absent=was,
            summary=summary,
            run_id=run_id,
            shown=shown,
            before=hold,
        )
    if doubt.touches:
        give_up(deps, connection, kind, shown)
    return None


def _touches(conn: Connection, hold_id: int, batch: Batch) -> bool:
    names = chain((key_of(record)[0] for record in batch), (key[0] for key in batch.vanished))
    return any(holds.has_items(conn, hold_id, some) for some in batches(names, 500))


def _with_held(deps: Deps, hold: dict[str, Any], batch: Batch) -> Batch:
    """A batch, and the held rows that it does not show."""
    rest = held_batch(deps, hold, {*map(key_of, batch), *batch.vanished})
    vanished = [*batch.vanished, *rest.vanished]
    return replace(batch, records=(*batch.records, *rest.records), vanished=vanished, zero=batch.zero or rest.zero)
