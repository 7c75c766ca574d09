"""Holds implausible batches for a person, one hold for each kind, and ends a hold that a later answer has superseded."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import xor
from typing import Any, NamedTuple, TypeVar

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
"""When a row that left its hold meanwhile counts as read: whatever was written since is newer."""

Result = TypeVar("Result")

log = structlog.get_logger()


@dataclass(frozen=True)
class Held:
    """What is held now: the keys of the rows, the reason, and the rules that spoke."""

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
    absent: MissingPolicy | None,
    summary: dict[str, Any],
    run_id: int | None = None,
    shown: Set[Key] | None = None,
    beside: Set[Key] = frozenset(),
) -> Held:
    """Store the rows that a verdict holds and let them wait for a person: a release writes exactly what is shown.

    The same batch again stays the same hold; another batch takes its place once all of its rows are stored. Items that
    were held until then and were not ``shown`` are fetched again, except rows that are held as before; ``shown`` is
    ``None`` if the whole kind was read. Rows that waited before keep the time of their read, and are stored once. The
    verdict knows those ``beside`` which it was found: what another reader has added since then waits on."""
    rows, reason = _summed(verdict, shown), verdict.reason or ""
    with deps.database.begin() as conn:
        waiting = holds.waiting(conn, connection=connection, kind=kind, digest=rows.digest)
        seen = None if shown is None else rows.keys & shown
        if waiting is not None and holds.confirm(conn, waiting, seen, read_at):
            return Held(rows.keys, reason, verdict.rules)
        hold_id = holds.hold(
            conn,
            connection=connection,
            kind=kind,
            run_id=run_id,
            reason=reason,
            summary=summary,
            now=deps.now(),
            findings=verdict.findings,
            rows=len(rows.keys),
            digest=rows.digest,
            absent=absent,
            read_at=read_at,
            waits=False,
        )
    for some in batches(verdict.held(), BATCH_SIZE):
        _keep_rows(deps, connection, kind, hold_id, some, _read_before(deps, connection, kind, some, shown))
    replaced = _start_waiting(deps, connection, kind, hold_id, _Shown(shown, beside, read_at, absent), rows.carried)
    if replaced is not None:
        _forget_carried(deps, replaced.id, sorted(rows.carried))
    log.error("batch_held", connection=connection, kind=kind, reason=reason, rows=len(rows.keys))
    return Held(rows.keys, reason, verdict.rules)


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


class _Shown(NamedTuple):
    """What a read that began at ``read_at`` has shown (``None``: the whole kind), and ``beside`` which held rows it was
    judged. ``absent`` says what becomes of the rows without a record."""

    keys: Set[Key] | None
    beside: Set[Key]
    read_at: datetime
    absent: MissingPolicy | None

    def is_added(self, hold: Hold, row: HeldRow) -> bool:
        """Whether another reader has added this row of a hold since this read was judged."""
        ends_alike = row.record is not None or hold.absent == self.absent
        return self.keys is not None and ends_alike and row.key not in self.keys and row.key not in self.beside


def _start_waiting(
    deps: Deps, connection: str, kind: Kind, hold_id: int, shown: _Shown, carried: Mapping[Key, int]
) -> Hold | None:
    """Let a hold wait whose rows are stored, in place of the one that waits; returns that one. What others have added to
    that one is moved, the rest of its items is owed."""

    def start(conn: Connection) -> tuple[Hold | None, list[ItemKey]]:
        hold, rows = _locked(conn, connection, kind)
        added = [row for row in rows if hold is not None and shown.is_added(hold, row)]
        if hold is not None and added:
            holds.move_rows(conn, hold, hold_id, {row.id: _digest(row) for row in added})
            moved = {row.id for row in added}
            rows = [row for row in rows if row.id not in moved]
        rest = _owe_rest(deps, conn, connection, kind, (hold, rows), shown.keys, shown.read_at, carried)
        holds.mark_waiting(conn, hold_id, connection=connection, kind=kind)
        return hold, rest

    replaced, rest = _in_turn(deps, connection, kind, start)
    deps.queue.enqueue(rest)
    return replaced


def _forget_carried(deps: Deps, hold_id: int, keys: Sequence[Key]) -> None:
    """Remove the rows that the new hold has too: where rows are doubted one by one, each makes a new hold."""
    for some in batches(keys, BATCH_SIZE):
        with deps.database.begin() as conn:
            holds.forget_rows(conn, hold_id, some)


def give_up(deps: Deps, connection: str, kind: Kind, shown: Set[Key], read_at: datetime) -> None:
    """End the hold that waits, because it is plausible with what a read from ``read_at`` on has ``shown``; owe the rest of
    its items."""

    def end(conn: Connection) -> list[ItemKey]:
        rest = _owe_rest(deps, conn, connection, kind, _locked(conn, connection, kind), shown, read_at, {})
        holds.expire(conn, connection=connection, kind=kind)
        return rest

    deps.queue.enqueue(_in_turn(deps, connection, kind, end))


def pass_by(deps: Deps, connection: str, kind: Kind, read_at: datetime) -> None:
    """End the hold that waits, because a complete read from ``read_at`` on was plausible; owe the items that a later read
    showed as they waited."""

    def end(conn: Connection) -> list[ItemKey]:
        later = holds.pass_(conn, connection=connection, kind=kind, read_at=read_at)
        return _owe(deps, conn, connection, kind, later)

    deps.queue.enqueue(_in_turn(deps, connection, kind, end))


def _locked(conn: Connection, connection: str, kind: Kind) -> tuple[Hold | None, list[HeldRow]]:
    """The hold that waits and its rows, which nobody else can change until this transaction ends."""
    hold = holds.lock_open(conn, connection, kind)
    return hold, [] if hold is None else list(_rows_of(conn, hold.id, kind))


def _owe_rest(
    deps: Deps,
    conn: Connection,
    connection: str,
    kind: Kind,
    waiting: tuple[Hold | None, Sequence[HeldRow]],
    shown: Set[Key] | None,
    read_at: datetime,
    carried: Mapping[Key, int],
) -> list[ItemKey]:
    """Owe the items of the hold that was ``waiting``, except rows that a read from ``read_at`` on has ``shown`` (``None``:
    the whole kind); but rows that wait as a later read showed them are owed. Their changes were settled as held, so this
    must be in the transaction that ends the hold. Rows that are ``carried`` into another hold (their digests by key) are
    owed only if they differ by now: somebody has read them since."""
    hold, rows = waiting[0], {row.key: row for row in waiting[1]}
    later = {key for key, row in rows.items() if hold is not None and hold.began_at_of(row) > read_at}
    differing = {key for key, _ in {key: _digest(row) for key, row in rows.items()}.items() ^ carried.items()}
    ids = {key[0] for key in differing if key in later or (shown is not None and key not in shown)}
    return _owe(deps, conn, connection, kind, sorted(ids))


def _owe(deps: Deps, conn: Connection, connection: str, kind: Kind, ids: Sequence[str]) -> list[ItemKey]:
    changes = [Change(kind, id) for id in ids]
    return [
        key
        for some in batches(changes, BATCH_SIZE)
        for key in owed.owe(conn, connection, some, Cause.LOOKUP, deps.now())
    ]


def _in_turn(deps: Deps, connection: str, kind: Kind, work: Callable[[Connection], Result]) -> Result:
    """Do ``work`` in a transaction; retry if the database refuses it because another read holds the kind at this moment, or
    because a release is being written."""

    def attempt() -> Result:
        with deps.database.begin() as conn:
            return work(conn)

    return Retrying(
        retry=retry_if_exception_type(runs.CLASHES),
        stop=stop_after_attempt(TRIES),
        before_sleep=lambda _: finish_released(deps, connection, kind),
        reraise=True,
    )(attempt)


def _read_before(
    deps: Deps, connection: str, kind: Kind, some: Sequence[JudgedRow], shown: Set[Key] | None
) -> dict[Key, datetime]:
    """When the rows that this read did not show were read; long ago for those that do not wait so any more, so that a
    release fetches them again."""
    waited = {row.key: _digest(row) for row in some if shown is not None and row.key not in shown}
    if not waited:
        return {}
    items = sorted({key[0] for key in waited})

    def began(hold: Hold) -> dict[Key, datetime]:
        with deps.database.read() as conn:
            rows = held_rows.of_items(conn, hold.id, kind, items)
        return {row.key: hold.began_at_of(row) for row in rows if waited.get(row.key) == _digest(row)}

    found = waiting_with(deps, connection, kind, began)
    return dict.fromkeys(waited, LONG_AGO) | ({} if found is None else found[1])


def _keep_rows(
    deps: Deps, connection: str, kind: Kind, hold_id: int, some: Sequence[JudgedRow], read_at: Mapping[Key, datetime]
) -> None:
    old = stored_rows(deps.database, connection, kind, [row.key for row in some])
    kept = [NewRow(row.key, _fields(old.get(row.key), row.record), row.record, read_at.get(row.key)) for row in some]
    with deps.database.begin() as conn:
        held_rows.add(conn, hold_id, kept)


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
    """Take rows that an answer has shown otherwise out of a hold, so that a release does not write them; except those that
    a later read showed as they wait. ``read_at`` tells when the reads of the rows began."""
    if not read_at:
        return
    with deps.database.begin() as conn:
        now = holds.lock_waiting(conn, hold.id)
        if now is None:
            return
        held = held_rows.of_items(conn, now.id, now.kind, sorted({key[0] for key in read_at}))
        outdated = [row for row in held if row.key in read_at and now.began_at_of(row) <= read_at[row.key]]
        holds.drop_rows(conn, now, {row.id: _digest(row) for row in outdated})
