"""Judges an incomplete read (a poll, a window, items by id) together with what is already held of its kind."""

from collections.abc import Set
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import chain
from typing import NamedTuple

from sqlalchemy import Connection

from app.domain import MissingPolicy, batches, key_of
from app.flows.deps import Deps
from app.flows.holds.hold_back import Held, KindRead, give_up, keep, leave_unread
from app.flows.holds.holds import finish_released, held_batch, waiting_with
from app.flows.holds.plausible import Verdict, examine, learn
from app.rules.guard.guard import FIRST_LOAD
from app.stores.catalog import Key
from app.stores.catalog.spool import Spool
from app.stores.guard import Batch, held_rows
from app.stores.guard.foreseen import NOTHING, Foreseen
from app.stores.guard.holds import Hold


class Doubt(NamedTuple):
    """What the guard says of a batch; ``hold`` is the open hold, ``touches`` says whether the batch shows some of its
    items. ``beside`` are the rows of the hold that the batch does not show, if it was judged together with them."""

    batch: Batch
    verdict: Verdict
    hold: Hold | None
    touches: bool
    beside: Set[Key] = frozenset()


def doubted(
    deps: Deps,
    connection: str,
    spool: Spool,
    read_at: datetime,
    checks: Set[str],
    *,
    unread: Set[str],
    run_id: int | None = None,
) -> Held | None:
    """The rows of an incomplete read that are held now, if they are implausible together with the rows that are held
    already. ``unread`` are the ids of rows that the read showed but that could not be read."""
    finish_released(deps, connection, spool.kind)
    leave_unread(deps, connection, spool.kind, unread, read_at)
    doubt = judged(deps, connection, Batch(spool.kind, (spool,), first=checks == FIRST_LOAD), checks)
    held = settled(deps, connection, doubt, read_at, run_id=run_id)
    if held is None and checks > FIRST_LOAD and spool:
        learn(deps, connection, spool.kind, doubt.verdict)
    return held


def judged(deps: Deps, connection: str, batch: Batch, checks: Set[str], foreseen: Foreseen = NOTHING) -> Doubt:
    """Judge a batch; nothing is written. What was held stays held: a batch that shows some of it again is judged together
    with all of it."""
    alone = examine(deps, connection, batch, checks, foreseen)
    waiting = waiting_with(deps, connection, batch.kind, partial(_beside, deps, batch, alone))
    if waiting is None:
        return Doubt(batch, alone, None, touches=False)
    hold, (touches, rest) = waiting
    if rest is None:
        return Doubt(batch, alone, hold, touches)
    verdict = examine(deps, connection, _joined(batch, rest), checks, foreseen)
    return Doubt(batch, verdict, hold, touches, {*map(key_of, rest), *rest.vanished})


def settled(
    deps: Deps,
    connection: str,
    doubt: Doubt,
    read_at: datetime,
    *,
    absent: MissingPolicy | None = None,
    run_id: int | None = None,
) -> Held | None:
    """Hold what is doubted, or end the hold that the batch has made plausible. ``absent`` says what becomes of rows without
    a record, unless the hold that waits says so. What a later read showed is asked for again."""
    hold, shown = doubt.hold, {*map(key_of, doubt.batch), *doubt.batch.vanished}
    absent = hold.absent if hold is not None and hold.absent else absent
    read = KindRead(connection, doubt.batch.kind, read_at, shown, run_id, absent, doubt.beside)
    if doubt.verdict.reason is not None:
        return keep(deps, read, doubt.verdict, {"rows_read": sum(map(len, doubt.batch.records))})
    if doubt.touches:
        give_up(deps, read)
    return None


def _beside(deps: Deps, batch: Batch, alone: Verdict, hold: Hold) -> tuple[bool, Batch | None]:
    """Whether a batch shows some items of a hold; and the held rows that it does not show, if it must be judged together
    with them."""
    with deps.database.read() as conn:
        touches = _touches(conn, hold.id, batch)
    if not touches and alone.reason is None:
        return False, None
    return touches, held_batch(deps, hold, {*map(key_of, batch), *batch.vanished})


def _touches(conn: Connection, hold_id: int, batch: Batch) -> bool:
    names = chain((key_of(record)[0] for record in batch), (key[0] for key in batch.vanished))
    return any(held_rows.has_items(conn, hold_id, batch_of_names) for batch_of_names in batches(names, 500))


def _joined(batch: Batch, rest: Batch) -> Batch:
    """A batch, and the held rows that it does not show."""
    vanished = [*batch.vanished, *rest.vanished]
    return replace(batch, records=(*batch.records, *rest.records), vanished=vanished, zero=batch.zero or rest.zero)
