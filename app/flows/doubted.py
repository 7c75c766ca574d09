"""Judges a read without an end (a poll, a window) together with what is held of its kind already."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.domain import Absent, batches, key_of
from app.flows.deps import Deps
from app.flows.holds import Held, finish_released, held_records, keep
from app.flows.plausible import examine, learn
from app.rules.guard import FIRST_LOAD
from app.stores import holds
from app.stores.guard import Batch
from app.stores.spool import Spool


def doubted(
    deps: Deps, connection: str, spool: Spool, read_at: datetime, deeds: Set[str], *, run_id: int | None = None
) -> Held | None:
    """What of a read without an end is held now, as it is implausible together with what is held already.

    What was held stays held: a poll that shows some of it again is judged with all of it.
    """
    kind = spool.kind
    finish_released(deps, connection, kind)
    with deps.database.read() as conn:
        hold = holds.open_of(conn, connection, kind)
        touches = hold is not None and _touches(conn, hold["id"], spool)
    verdict = examine(deps, connection, Batch(kind, (spool,), first=deeds == FIRST_LOAD), deeds)
    if hold is not None and (touches or verdict.reason is not None):
        verdict = examine(deps, connection, _with_held(deps, hold, spool), deeds)
    if verdict.reason is None:
        if touches:
            with deps.database.begin() as conn:
                holds.expire(conn, connection=connection, kind=kind)
        if deeds > FIRST_LOAD and spool:
            learn(deps, connection, kind, verdict)
        return None
    absent = Absent(hold["absent"]) if hold is not None and hold["absent"] else None
    summary = {"rows_read": len(spool)}
    return keep(deps, connection, kind, verdict, read_at=read_at, absent=absent, summary=summary, run_id=run_id)


def _touches(conn: Connection, hold_id: int, spool: Spool) -> bool:
    return any(holds.has_items(conn, hold_id, [key_of(record)[0] for record in some]) for some in batches(spool, 500))


def _with_held(deps: Deps, hold: dict[str, Any], spool: Spool) -> Batch:
    """A poll's records, and the held rows that it does not show."""
    shown = {key_of(record) for record in spool}
    rest, ends = Spool(spool.kind), []
    for row in held_records(deps, hold["id"], spool.kind):
        if row.key in shown:
            continue
        if row.record is None:
            ends.append(row.key)
        else:
            rest.add("", row.record, 0)
    return Batch(spool.kind, (spool, rest), ends, zero=hold["absent"] == Absent.ZERO)
