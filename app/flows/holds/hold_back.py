"""Puts implausible batches in front of a person, one hold for each kind, and ends a hold that a later answer overtook."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Connection
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from app.domain import Absent, Cause, Change, ItemKey, Kind, Record, batches, row_hash
from app.flows.deps import Deps
from app.flows.holds.holds import AT_ONCE, finish_released
from app.flows.holds.plausible import Verdict
from app.stores import catalog, owed
from app.stores.catalog import Key, StoredRow, stored_rows
from app.stores.guard import JudgedRow, holds
from app.stores.guard.holds import HeldRow, NewRow
from app.stores.runs import drift, runs

TRIES = 50
"""How often a hold that others are in the way of is tried."""

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""When a row counts as read that left its hold meanwhile: whatever was written since is newer."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Held:
    """What is held now: the keys of the rows, and why, by which rules."""

    keys: set[Key]
    reason: str
    rules: Sequence[str]


def keep(
    deps: Deps,
    connection: str,
    kind: Kind,
    verdict: Verdict,
    *,
    read_at: datetime,
    absent: Absent | None,
    summary: dict[str, Any],
    run_id: int | None = None,
    shown: Set[Key] | None = None,
    before: dict[str, Any] | None = None,
) -> Held:
    """Put the rows that a verdict holds in front of a person, and keep them: what is shown is what a release writes. The
    same batch again stays the same hold; another one takes its place once all of its rows are kept. What was held until
    then and was not ``shown`` is asked for anew, but for what is held just as it was (and where a whole kind was read).
    Rows that waited in the hold ``before`` are no newer than they were there, and are kept once."""
    reason, digest, keys, carried = verdict.reason or "", 0, set[Key](), dict[Key, int]()
    for row in verdict.held():
        keys.add(row.key)
        digest ^= _digest(row)
        if shown is not None and row.key not in shown:
            carried[row.key] = _digest(row)
    with deps.database.begin() as conn:
        if holds.waiting(conn, connection=connection, kind=kind, digest=digest) is not None:
            return Held(keys, reason, verdict.rules)
        hold_id = holds.hold(
            conn,
            connection=connection,
            kind=kind,
            run_id=run_id,
            reason=reason,
            summary=summary,
            now=deps.now(),
            findings=verdict.findings,
            rows=len(keys),
            digest=digest,
            absent=absent,
            read_at=read_at,
            waits=False,
        )
    for some in batches(verdict.held(), AT_ONCE):
        _keep_rows(deps, connection, kind, hold_id, some, _read_before(deps, kind, some, shown, before))

    def stand(conn: Connection) -> list[ItemKey]:
        rest = [] if shown is None else _owe_rest(deps, conn, connection, kind, shown, carried)
        holds.stand(conn, hold_id, connection=connection, kind=kind)
        return rest

    deps.queue.enqueue(_in_turn(deps, connection, kind, stand))
    if before is not None:
        _forget_carried(deps, before["id"], sorted(carried))
    log.error("batch_held", connection=connection, kind=kind, reason=reason, rows=len(keys))
    return Held(keys, reason, verdict.rules)


def _forget_carried(deps: Deps, hold_id: int, keys: Sequence[Key]) -> None:
    """Rows that wait on in another hold are kept there: where rows are doubted one by one, each makes a new hold."""
    for some in batches(keys, AT_ONCE):
        with deps.database.begin() as conn:
            holds.forget_rows(conn, hold_id, some)


def give_up(deps: Deps, connection: str, kind: Kind, shown: Set[Key]) -> None:
    """End the hold that waits, as it is plausible with what was ``shown`` now; ask anew for the rest of it."""

    def end(conn: Connection) -> list[ItemKey]:
        rest = _owe_rest(deps, conn, connection, kind, shown, {})
        holds.expire(conn, connection=connection, kind=kind)
        return rest

    deps.queue.enqueue(_in_turn(deps, connection, kind, end))


def _owe_rest(
    deps: Deps, conn: Connection, connection: str, kind: Kind, shown: Set[Key], carried: Mapping[Key, int]
) -> list[ItemKey]:
    """Owe the items of the hold that waits, but for rows that were ``shown``: what brought them was settled as held, so in
    the very transaction that ends the hold. Rows that are ``carried`` into another hold (their digests by key) are owed
    where they wait otherwise by now: somebody has read them since."""
    hold = holds.open_of(conn, connection, kind)
    waiting = {} if hold is None else {row.key: _digest(row) for row in _rows_of(conn, hold["id"], kind)}
    ids = {key[0] for key, _ in waiting.items() ^ carried.items() if key not in shown}
    changes = [Change(kind, id) for id in sorted(ids)]
    return [
        key
        for some in batches(changes, AT_ONCE)
        for key in owed.owe(conn, connection, some, Cause.LOOKUP, deps.now())
    ]


def _in_turn(deps: Deps, connection: str, kind: Kind, work: Callable[[Connection], list[ItemKey]]) -> list[ItemKey]:
    """``work`` in a transaction, once more where the database refuses it because another read holds the kind in this very
    moment, or because a release is being written."""

    def attempt() -> list[ItemKey]:
        with deps.database.begin() as conn:
            return work(conn)

    return Retrying(
        retry=retry_if_exception_type(runs.CLASHES),
        stop=stop_after_attempt(TRIES),
        before_sleep=lambda _: finish_released(deps, connection, kind),
        reraise=True,
    )(attempt)


def _read_before(
    deps: Deps, kind: Kind, some: Sequence[JudgedRow], shown: Set[Key] | None, before: dict[str, Any] | None
) -> dict[Key, datetime]:
    """When the rows were read that this read did not show; long ago, where somebody has taken them out meanwhile: a release
    asks for these anew."""
    if shown is None or before is None:
        return {}
    waited = [row.key for row in some if row.key not in shown]
    began = before["read_at"] or before["held_at"]
    with deps.database.read() as conn:
        kept = holds.rows_of(conn, before["id"], kind, sorted({key[0] for key in waited}))
    return dict.fromkeys(waited, LONG_AGO) | {row.key: row.read_at or began for row in kept}


def _keep_rows(
    deps: Deps, connection: str, kind: Kind, hold_id: int, some: Sequence[JudgedRow], read_at: Mapping[Key, datetime]
) -> None:
    old = stored_rows(deps.database, connection, kind, [row.key for row in some])
    kept = [NewRow(row.key, _fields(old.get(row.key), row.record), row.record, read_at.get(row.key)) for row in some]
    with deps.database.begin() as conn:
        holds.add_rows(conn, hold_id, kept)


def _fields(old: StoredRow | None, record: Record | None) -> dict[str, Any]:
    return {} if record is None else drift.field_changes(old and old.record, record)


def _digest(row: JudgedRow | HeldRow) -> int:
    content = 0 if row.record is None else row_hash(row.record)
    text = "\x1f".join((*row.key, str(content)))
    return int.from_bytes(
        hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big", signed=True
    )


def _rows_of(conn: Connection, hold_id: int, kind: Kind) -> Iterator[HeldRow]:
    """All rows of a hold, within a transaction."""
    some: list[HeldRow] = []
    while some := holds.rows(conn, hold_id, kind, after=some[-1].id if some else 0, limit=AT_ONCE):
        yield from some


def leave_unread(deps: Deps, connection: str, kind: Kind, ids: Set[str]) -> None:
    """What is shown by now, but unreadably, is not ended or changed by a release any more: ``ids`` are of rows, or of items
    for all of their rows."""
    with deps.database.read() as conn:
        hold = holds.open_of(conn, connection, kind) if ids else None
        if hold is None:
            return
        names = catalog.row_ids(conn, connection, kind, ids)
        keys = {row.key for row in holds.rows_of(conn, hold["id"], kind, sorted(names))}
    if keys:
        leave_out(deps, hold, keys)


def leave_out(deps: Deps, hold: dict[str, Any], keys: Set[Key]) -> None:
    """Rows of a hold that a later answer has shown otherwise are not to be released any more."""
    kind = Kind(hold["kind"])
    with deps.database.begin() as conn:
        held = holds.rows_of(conn, hold["id"], kind, sorted({key[0] for key in keys}))
        out = {row.id: _digest(row) for row in held if row.key in keys}
        holds.drop_rows(conn, hold["id"], out)
