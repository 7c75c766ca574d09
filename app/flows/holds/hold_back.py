"""Holds implausible batches for a person, one hold for each kind, and ends a hold that a later answer has superseded."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import xor
from typing import NamedTuple, TypeVar

import structlog
from sqlalchemy import Connection
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from app.domain import Cause, Change, ItemKey, Kind, MissingPolicy, Record, batches, row_hash
from app.flows.deps import Deps
from app.flows.holds.holds import BATCH_SIZE, finish_released, waiting_with
from app.flows.holds.plausible import Verdict
from app.stores import catalog, owed
from app.stores.catalog import Key, StoredRow, stored_rows
from app.stores.guard import JudgedRow, held_rows, holds
from app.stores.guard.held_rows import HeldRow, NewRow
from app.stores.guard.holds import Hold
from app.stores.runs import drift, runs

TRIES = 50
"""How often we try to store a hold while other transactions are in the way."""

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""When a row that left its hold meanwhile counts as read: rows that were written since are newer."""

Result = TypeVar("Result")

log = structlog.get_logger()


@dataclass(frozen=True)
class Held:
    """What is held now: the keys of the rows, the reason, and the rules that objected."""

    keys: set[Key]
    reason: str
    rules: Sequence[str]


class KindRead(NamedTuple):
    """A read of a kind, which began at ``read_at`` and has ``shown`` these rows; ``None``: the whole kind. ``absent`` says
    what becomes of rows without a record. ``beside`` are the held rows that were judged together with those shown."""

    connection: str
    kind: Kind
    read_at: datetime
    shown: Set[Key] | None = None
    run_id: int | None = None
    absent: MissingPolicy | None = None
    beside: Set[Key] = frozenset()

    def is_added(self, hold: Hold, row: HeldRow) -> bool:
        """Whether another reader has added this row to a hold since this read was judged, and it can wait in a hold of this
        read: there it must end as it would have."""
        ends_alike = row.record is not None or hold.absent == self.absent
        return self.shown is not None and ends_alike and row.key not in self.shown and row.key not in self.beside


def keep(deps: Deps, read: KindRead, verdict: Verdict, summary: Mapping[str, int]) -> Held:
    """Store the rows that a verdict holds and let them wait for a person: a release writes exactly what is shown.

    The same batch again stays the same hold; another batch takes its place once all of its rows are stored. Items that
    were held until then and were not shown are fetched again, except rows that are held as before, and rows that another
    reader has added to the hold since the read was judged: these wait on. Rows that waited before keep the time of their
    read, and are stored once."""
    rows = _summed(verdict, read.shown)
    held = Held(rows.keys, verdict.reason or "", verdict.rules)
    with deps.database.begin() as conn:
        if _waits_already(conn, read, rows):
            return held
        hold_id = _add_hold(deps, conn, read, verdict, summary, rows)
    for some in batches(verdict.held(), BATCH_SIZE):
        _keep_rows(deps, read, hold_id, some)
    replaced = _start_waiting(deps, read, hold_id, rows.carried)
    if replaced is not None:
        _forget_carried(deps, replaced.id, sorted(rows.carried))
    log.error("batch_held", connection=read.connection, kind=read.kind, reason=held.reason, rows=len(rows.keys))
    return held


class _Rows(NamedTuple):
    """The rows that a verdict holds, and the digest of all. ``carried`` are those that were not shown now, each with its
    digest: they waited before."""

    keys: set[Key]
    digest: int
    carried: dict[Key, int]


def _summed(verdict: Verdict, shown: Set[Key] | None) -> _Rows:
    digests = {row.key: _digest(row) for row in verdict.held()}
    carried = {} if shown is None else {key: digest for key, digest in digests.items() if key not in shown}
    return _Rows(set(digests), reduce(xor, digests.values(), 0), carried)


def _waits_already(conn: Connection, read: KindRead, rows: _Rows) -> bool:
    """Whether exactly this batch waits; if so, the read confirms it."""
    waiting = holds.waiting(conn, connection=read.connection, kind=read.kind, digest=rows.digest)
    seen = None if read.shown is None else rows.keys & read.shown
    return waiting is not None and holds.confirm(conn, waiting, seen, read.read_at)


def _add_hold(
    deps: Deps, conn: Connection, read: KindRead, verdict: Verdict, summary: Mapping[str, int], rows: _Rows
) -> int:
    return holds.hold(
        conn,
        connection=read.connection,
        kind=read.kind,
        run_id=read.run_id,
        reason=verdict.reason or "",
        summary=summary,
        now=deps.now(),
        findings=verdict.findings,
        rows=len(rows.keys),
        digest=rows.digest,
        absent=read.absent,
        read_at=read.read_at,
        waits=False,
    )


def _keep_rows(deps: Deps, read: KindRead, hold_id: int, some: Sequence[JudgedRow]) -> None:
    read_at = _read_before(deps, read, some)
    old = stored_rows(deps.database, read.connection, read.kind, [row.key for row in some])
    kept = [NewRow(row.key, _fields(old.get(row.key), row.record), row.record, read_at.get(row.key)) for row in some]
    with deps.database.begin() as conn:
        held_rows.add(conn, hold_id, kept)


def _read_before(deps: Deps, read: KindRead, some: Sequence[JudgedRow]) -> dict[Key, datetime]:
    """When the rows that this read did not show were read; long ago for those that no longer wait as they did, so that a
    release fetches them again."""
    shown = read.shown
    waited = {row.key: _digest(row) for row in some if shown is not None and row.key not in shown}
    if not waited:
        return {}
    items = sorted({key[0] for key in waited})

    def began(hold: Hold) -> dict[Key, datetime]:
        with deps.database.read() as conn:
            rows = held_rows.of_items(conn, hold.id, read.kind, items)
        return {row.key: hold.began_at_of(row) for row in rows if waited.get(row.key) == _digest(row)}

    found = waiting_with(deps, read.connection, read.kind, began)
    return dict.fromkeys(waited, LONG_AGO) | ({} if found is None else found[1])


def _start_waiting(deps: Deps, read: KindRead, hold_id: int, carried: Mapping[Key, int]) -> Hold | None:
    """Let a hold wait whose rows are stored, in place of the one that waits; returns that one. The rows that others have
    added to that one are moved, the rest of its items is owed."""

    def start(conn: Connection) -> tuple[Hold | None, list[ItemKey]]:
        hold, rows = _locked(conn, read)
        added = {row.id: _digest(row) for row in rows if hold is not None and read.is_added(hold, row)}
        if hold is not None and added:
            holds.move_rows(conn, hold, hold_id, added)
        rest = _owe_rest(deps, conn, read, (hold, [row for row in rows if row.id not in added]), carried)
        holds.mark_waiting(conn, hold_id, hold)
        return hold, rest

    replaced, rest = _in_turn(deps, read, start)
    deps.queue.enqueue(rest)
    return replaced


def _forget_carried(deps: Deps, hold_id: int, keys: Sequence[Key]) -> None:
    """Remove rows that the new hold also has: where rows are held one by one, each makes a new hold."""
    for some in batches(keys, BATCH_SIZE):
        with deps.database.begin() as conn:
            holds.forget_rows(conn, hold_id, some)


def give_up(deps: Deps, read: KindRead) -> None:
    """End the hold that waits, because it is plausible with what a read has shown; owe the rest of its items."""

    def end(conn: Connection) -> list[ItemKey]:
        waiting = _locked(conn, read)
        holds.expire(conn, waiting[0])
        return _owe_rest(deps, conn, read, waiting, {})

    deps.queue.enqueue(_in_turn(deps, read, end))


def pass_by(deps: Deps, read: KindRead) -> None:
    """End the hold that waits, because a complete read was plausible; owe the items that a later read showed as they
    waited."""

    def end(conn: Connection) -> list[ItemKey]:
        later = holds.pass_(conn, connection=read.connection, kind=read.kind, read_at=read.read_at)
        return _owe(deps, conn, read, later)

    deps.queue.enqueue(_in_turn(deps, read, end))


def _locked(conn: Connection, read: KindRead) -> tuple[Hold | None, list[HeldRow]]:
    """The hold that waits and its rows, which nobody else can change until this transaction ends."""
    hold = holds.lock_open(conn, read.connection, read.kind)
    return hold, [] if hold is None else list(_rows_of(conn, hold.id, read.kind))


def _owe_rest(
    deps: Deps,
    conn: Connection,
    read: KindRead,
    waiting: tuple[Hold | None, Sequence[HeldRow]],
    carried: Mapping[Key, int],
) -> list[ItemKey]:
    """Owe the items of the hold that was ``waiting``, except rows that the read has shown; but rows that wait as a later
    read showed them are owed. Their changes were settled as held, so this must be in the transaction that ends the hold.
    Rows that are ``carried`` into another hold (their digests by key) are owed only if they differ by now: somebody has
    read them since."""
    hold, rows = waiting[0], {row.key: row for row in waiting[1]}
    later = {key for key, row in rows.items() if hold is not None and hold.began_at_of(row) > read.read_at}
    differing = {key for key, _ in {key: _digest(row) for key, row in rows.items()}.items() ^ carried.items()}
    shown = read.shown
    ids = {key[0] for key in differing if key in later or (shown is not None and key not in shown)}
    return _owe(deps, conn, read, sorted(ids))


def _owe(deps: Deps, conn: Connection, read: KindRead, ids: Sequence[str]) -> list[ItemKey]:
    changes = [Change(read.kind, id) for id in ids]
    return [
        key
        for some in batches(changes, BATCH_SIZE)
        for key in owed.owe(conn, read.connection, some, Cause.LOOKUP, deps.now())
    ]


def _in_turn(deps: Deps, read: KindRead, work: Callable[[Connection], Result]) -> Result:
    """Do ``work`` in a transaction; retry if the database refuses it because another read holds the kind at this moment, or
    because a release is being written."""

    def attempt() -> Result:
        with deps.database.begin() as conn:
            return work(conn)

    return Retrying(
        retry=retry_if_exception_type(runs.CLASHES),
        stop=stop_after_attempt(TRIES),
        before_sleep=lambda _: finish_released(deps, read.connection, read.kind),
        reraise=True,
    )(attempt)


def _fields(old: StoredRow | None, record: Record | None) -> Mapping[str, Sequence[object]]:
    return {} if record is None else drift.field_changes(old and old.record, record)


def _digest(row: JudgedRow | HeldRow) -> int:
    content = 0 if row.record is None else row_hash(row.record)
    text = "\x1f".join((*row.key, str(content)))
    return int.from_bytes(
        hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big", signed=True
    )


def _rows_of(conn: Connection, hold_id: int, kind: Kind) -> Iterator[HeldRow]:
    """All rows of a hold, within a transaction."""
    after = 0
    while rows := held_rows.page(conn, hold_id, kind, after=after, limit=BATCH_SIZE):
        yield from rows
        after = rows[-1].id


def leave_unread(deps: Deps, connection: str, kind: Kind, ids: Set[str], read_at: datetime) -> None:
    """Take rows that a read from ``read_at`` on shows again, but that could not be read, out of the hold that waits, so that
    a release does not end or change them. ``ids`` are of rows, or of items for all of their rows."""
    with deps.database.read() as conn:
        hold = holds.open_of(conn, connection, kind) if ids else None
        if hold is None:
            return
        names = catalog.row_ids(conn, connection, kind, ids)
        keys = {row.key for row in held_rows.of_items(conn, hold.id, kind, sorted(names))}
    leave_out(deps, hold, dict.fromkeys(keys, read_at))


def leave_out(deps: Deps, hold: Hold, read_at: Mapping[Key, datetime]) -> None:
    """Take rows that an answer has shown with other content out of a hold, so that a release does not write them; except
    those that a later read showed as they wait. ``read_at`` is when the reads of the rows began."""
    if not read_at:
        return
    with deps.database.begin() as conn:
        now = holds.lock_waiting(conn, hold.id)
        if now is None:
            return
        held = held_rows.of_items(conn, now.id, now.kind, sorted({key[0] for key in read_at}))
        outdated = [row for row in held if row.key in read_at and now.began_at_of(row) <= read_at[row.key]]
        holds.drop_rows(conn, now, {row.id: _digest(row) for row in outdated})
