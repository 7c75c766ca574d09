"""Judges items that were fetched by id before they are written; those that share a commit are one batch.

So the guard also judges a list that only names what changed, a storm of webhooks, and a run by ids. None of them writes a
row that waits for a person already, even if it is shown alone.
"""

from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import msgspec
import structlog
from sqlalchemy import Connection

from app.domain import KINDS, Kind, MissingPolicy, Record, Ref, batches, item_of, key_of, row_hash
from app.errors import AuthRejected, BadAnswer, Permanent, Transient, Unavailable
from app.flows.connections import health
from app.flows.connections.health import Fault
from app.flows.deps import Deps
from app.flows.holds.doubted import Doubt, judged, settled
from app.flows.holds.hold_back import leave_out, leave_unread
from app.flows.holds.plausible import Verdict
from app.flows.items.bad_records import split_storable, sure_scopes
from app.flows.items.fetched import Fetched, read_of
from app.flows.items.held_items import BelievedRows, HeldItems, split
from app.rules.guard.guard import FIRST_LOAD, POLL
from app.rules.guard.traits import OldListing
from app.stores import catalog
from app.stores.catalog import Key, Read, watermarks
from app.stores.guard import Batch, doubtful_counts, doubtful_products, held_rows, holds, trickle
from app.stores.guard.foreseen import NOTHING, Foreseen
from app.stores.guard.held_rows import HeldRow
from app.stores.guard.holds import Hold

JUDGED = (Kind.PRODUCT, Kind.STOCK)
"""The rules for the other kinds judge only numbers of rows, and here somebody asked for that many by id."""

MIN_ROWS = 3
"""No rule doubts fewer rows than this."""

CALLS_PER_BATCH = 20
"""Items that a list only names are judged as one batch when at most this many calls fetch them."""

log = structlog.get_logger()


def hold_back(deps: Deps, fetched: Sequence[Fetched]) -> list[Fetched]:
    """The answers without the rows that are held; ``Fetched.held`` names the items that these belong to."""
    connection, kind, _ = fetched[0].claims[0].key
    reads = [read_of(one.answer, one.began) for one in fetched]
    before = frozenset[str]().union(*(one.held for one in fetched))
    held = ItemReads(deps, connection, kind, reads, held_ids=before).held()
    if held is None:
        return list(fetched)
    return [replace(one, answer=split(one.answer, held)[0], held=one.held | held.items) for one in fetched]


def judge_named(deps: Deps, connection: str, kind: Kind, ids: Sequence[str]) -> None:
    """Fetch and judge items that a list only names and that do not fit into one call, before they are owed: doubtful rows
    wait then, and the item path writes the rest. Raises what the source raises unless it concerns single items."""
    source = deps.bulk_sources[connection]
    size = source.batch_size(kind)
    if kind not in JUDGED or size == 1 or len(ids) <= size:
        return
    for many in batches(ids, CALLS_PER_BATCH * size):
        reads = list[Read]()
        for some in batches(many, size):
            began = deps.now()
            try:
                answer = source.fetch([Ref(kind, id) for id in some])
            except AuthRejected:
                raise
            except (Permanent, Unavailable, BadAnswer) as error:
                if (
                    isinstance(error, Transient)
                    and health.judge(deps, connection, kind, error, some) is not Fault.ITEM
                ):
                    raise
                log.warning("named_not_judged", connection=connection, items=len(some), error=str(error))
                continue
            reads.append(read_of(msgspec.structs.replace(answer, covers=sure_scopes(answer)), began))
        ItemReads(deps, connection, kind, reads).held()


class _Shown(NamedTuple):
    """What reads by id show of a kind: the records that a database can hold, the rows that are gone, and when the read of
    each row began."""

    records: Sequence[Record]
    gone: Sequence[Key]
    began: Mapping[Key, datetime]

    def batch(self, kind: Kind, without: Set[Key]) -> Batch:
        """The rows as the guard judges them, ``without`` some."""
        records = [record for record in self.records if key_of(record) not in without]
        return Batch(kind, (records,), [key for key in self.gone if key not in without], asked=True)


@dataclass(frozen=True)
class ItemReads:
    """Reads of items by id that are judged as one batch.

    ``held_ids`` are items of these reads that were held before: a row of theirs that is missing now is not unreadable. With
    ``foreseen`` (a dry run) nothing is written, and rows that would be accepted are added to ``believed``.
    """

    deps: Deps
    connection: str
    kind: Kind
    reads: Sequence[Read]
    run_id: int | None = None
    foreseen: Foreseen | None = None
    held_ids: Set[str] = frozenset()
    believed: BelievedRows | None = None

    def held(self) -> HeldItems | None:
        """The rows of these items that are held now, or that would be held in a real run."""
        if self.kind not in JUDGED:
            return None
        records = self._storable()
        with self.deps.database.read() as conn:
            hold = holds.open_of(conn, self.connection, self.kind)
            if self.kind is not Kind.PRODUCT and hold is None and self._size(records) < MIN_ROWS:
                return None
            shown = self._shown(conn, records)
            waiting, changed = (set[Key](), set[Key]()) if hold is None else _compare_with_hold(conn, hold, shown)
        waits = hold if self.foreseen is None else None
        if waits is not None and not _confirm(self.deps, waits, {key: shown.began[key] for key in waiting}):
            return self.held()
        doubt, keys = self._judge(shown.batch(self.kind, waiting))
        keys |= waiting
        if waits is not None:
            leave_out(self.deps, waits, {key: shown.began[key] for key in changed - keys})
        if not keys:
            return None
        verdict = Verdict() if doubt is None else doubt.verdict
        reason = verdict.reason or ("" if hold is None else hold.reason)
        return self._named(shown, keys, reason, verdict.rules)

    def _storable(self) -> list[Record]:
        """The shown records that a database can hold; the others fail alone, when they are written. Rows that are shown
        unreadably leave the hold of their kind."""
        records = list[Record]()
        for read in self.reads:
            good, failures = split_storable(record for record in read.records if KINDS[type(record)] is self.kind)
            records += good
            if self.foreseen is None:
                unread = {failure.shown for failure in failures} | {*read.failed}
                leave_unread(self.deps, self.connection, self.kind, unread - self.held_ids, read.began)
        return records

    def _size(self, records: Sequence[Record]) -> int:
        return len(records) + sum(len(read.covers) + len(read.gone) for read in self.reads)

    def _shown(self, conn: Connection, records: Sequence[Record]) -> _Shown:
        now = self.deps.now()
        ends = [
            (key, read.began)
            for read in self.reads
            for key in catalog.ending(conn, self.connection, self.kind, read, now)
        ]
        of_kind = (
            (record, read) for read in self.reads for record in read.records if KINDS[type(record)] is self.kind
        )
        began = dict(sorted([*((key_of(one), read.began) for one, read in of_kind), *ends]))
        return _Shown(records, sorted({key for key, _ in ends}), began)

    def _judge(self, batch: Batch) -> tuple[Doubt | None, set[Key]]:
        """The guard's verdict on a batch (``None`` if too few rows are doubtful), and the rows that it holds. The doubtful
        rows that it accepts are noted, to be judged together with later ones."""
        doubts = _doubts(self.deps, self.connection, batch)
        if not doubts:
            return None, set()
        with self.deps.turns.of(self.connection, self.kind):
            return self._judge_doubts(batch, doubts)

    def _judge_doubts(self, batch: Batch, doubts: Mapping[Key, OldListing | None]) -> tuple[Doubt | None, set[Key]]:
        trickled = _trickled(self.deps, self.connection, batch, doubts)
        is_counted = self.believed is not None and batch.kind is Kind.PRODUCT
        earlier = self.believed if self.believed is not None and is_counted else BelievedRows()
        doubt, keys = None, set[Key]()
        if len(doubts.keys() | earlier.keys()) + len(trickled) >= MIN_ROWS:
            whole = replace(
                batch,
                trickled=trickled,
                records=(*batch.records, [record for record in earlier.records if key_of(record) not in doubts]),
                vanished=[*batch.vanished, *(key for key in earlier.vanished if key not in doubts)],
            )
            doubt = self._judged(whole)
            keys = _held_rows(doubt, batch)
        if self.foreseen is None:
            _believe(self.deps, self.connection, {key: old for key, old in doubts.items() if key not in keys})
        earlier.believe(batch, doubts.keys() - keys)
        return doubt, keys

    def _judged(self, batch: Batch) -> Doubt:
        with self.deps.database.read() as conn:
            first = watermarks.get(conn, self.connection, batch.kind) is None
        checks = FIRST_LOAD if first else POLL
        doubt = judged(self.deps, self.connection, replace(batch, first=first), checks, self.foreseen or NOTHING)
        if self.foreseen is None:
            began = min(read.began for read in self.reads)
            settled(self.deps, self.connection, doubt, began, absent=_absent(self.reads), run_id=self.run_id)
        return doubt

    def _named(self, shown: _Shown, keys: Set[Key], reason: str, rules: Sequence[str]) -> HeldItems:
        """The held rows with the items that they belong to: those shown, their parents here, and their own ids."""
        with self.deps.database.read() as conn:
            ids = sorted({key[0] for key in (*keys, *shown.gone)})
            owners = catalog.owners_of(conn, self.connection, ids)
        owners |= {key_of(record)[0]: item_of(record) for record in shown.records}
        held_ids = {key[0] for key in keys}
        items = frozenset({*held_ids, *(owners[id] for id in held_ids if id in owners)})
        others = {key[0] for key in (*map(key_of, shown.records), *shown.gone) if key not in keys}
        return HeldItems(self.kind, keys, items, others, reason, owners, rules)


def _doubts(deps: Deps, connection: str, batch: Batch) -> dict[Key, OldListing | None]:
    """The rows of a batch that a rule may doubt, for products each with its state before."""
    if batch.kind is not Kind.PRODUCT:
        return dict.fromkeys(doubtful_counts(deps.database, connection, batch))
    return {**doubtful_products(deps.database, connection, batch)}


def _trickled(deps: Deps, connection: str, batch: Batch, doubts: Container[Key]) -> dict[str, OldListing]:
    """The other products that changed doubtfully a few at a time in the last hour, as they were before."""
    if batch.kind is not Kind.PRODUCT:
        return {}
    with deps.database.read() as conn:
        trickled = trickle.of(conn, connection, deps.now())
    return {id: before for id, before in trickled.items() if (id,) not in doubts}


def _believe(deps: Deps, connection: str, doubts: Mapping[Key, OldListing | None]) -> None:
    """Note doubtful products that are about to change: the guard judges the next ones together with them."""
    believed = {key[0]: before for key, before in doubts.items() if before is not None}
    if believed:
        with deps.database.begin() as conn:
            trickle.add(conn, connection, believed, deps.now())


def _compare_with_hold(conn: Connection, hold: Hold, shown: _Shown) -> tuple[set[Key], set[Key]]:
    """The rows of a hold that wait on, as they are shown again or a later read showed them, and those that are shown with
    other content."""
    now: dict[Key, int | None] = {key_of(record): row_hash(record) for record in shown.records}
    now |= dict.fromkeys(shown.gone)
    items = sorted({key[0] for key in now})
    held = {row.key: row for row in held_rows.of_items(conn, hold.id, hold.kind, items)}
    both = held.keys() & now.keys()
    later = {key for key in both if hold.began_at_of(held[key]) > shown.began[key]}
    waiting = later | {key for key in both if now[key] == _content(held[key])}
    return waiting, both - waiting


def _confirm(deps: Deps, hold: Hold, waiting: Mapping[Key, datetime]) -> bool:
    """Note when the rows that wait on were read last; ``False`` if their hold has ended meanwhile."""
    if not waiting:
        return True
    with deps.database.begin() as conn:
        return all(
            holds.confirm(conn, hold.id, [key for key, at in waiting.items() if at == began], began)
            for began in sorted({*waiting.values()})
        )


def _content(row: HeldRow) -> int | None:
    """The hash of a held row, ``None`` if it ends."""
    return None if row.record is None else row_hash(row.record)


def _held_rows(doubt: Doubt, batch: Batch) -> set[Key]:
    """The rows of the batch that the guard holds."""
    return {row.key for row in doubt.verdict.held()} & {*map(key_of, batch), *batch.vanished}


def _absent(reads: Sequence[Read]) -> MissingPolicy:
    is_zero = any(scope.absent is MissingPolicy.ZERO for read in reads for scope in read.covers)
    return MissingPolicy.ZERO if is_zero else MissingPolicy.DELETED
