"""Items that were asked for by id are judged before they are written, all that share a commit as one batch.

So a list that only names what changed, a storm of webhooks and a run by ids are judged as well as a list that shows its
rows. What waits for a person already is written by none of them, be it shown alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import msgspec
import structlog
from sqlalchemy import Connection

from app.domain import KINDS, Absent, Answer, BadRecord, Kind, Record, Ref, batches, key_of, row_hash
from app.errors import AuthRejected, Permanent
from app.flows.deps import Deps
from app.flows.holds.doubted import Doubt, judged, settled
from app.flows.holds.hold_back import leave_out, leave_unread
from app.flows.items.bad_records import parted, sure_scopes
from app.flows.items.fetching import WAITS_FOR_A_PERSON, Fetched, owner_of, read_of
from app.rules.guard.guard import FIRST_LOAD, POLL
from app.rules.guard.traits import OldListing
from app.stores import catalog
from app.stores.catalog import Key, Read, watermarks
from app.stores.guard import Batch, doubtful_counts, doubtful_products, holds, trickle
from app.stores.guard.foreseen import NOTHING, Foreseen

JUDGED = (Kind.PRODUCT, Kind.STOCK)
"""Of the other kinds only numbers of rows are judged, and many by id are what somebody asked for."""

FEW = 3
"""Fewer rows than this no rule doubts."""

CALLS_AT_ONCE = 20
"""What so many calls fetch of what is only named is judged as one batch."""

log = structlog.get_logger()


@dataclass(frozen=True)
class HeldItems:
    """The rows that are held of what was shown, the items that these belong to, ids of the ``others``, and why, by which
    rules."""

    kind: Kind
    keys: Set[Key]
    items: frozenset[str]
    others: Set[str]
    reason: str
    rules: Sequence[str] = ()


@dataclass
class Rehearsed:
    """What a dry run would have believed by now though a rule may doubt it: it counts beside the next ones."""

    records: list[Record] = field(default_factory=list)
    vanished: list[Key] = field(default_factory=list)

    def keys(self) -> set[Key]:
        """Of all of these rows."""
        return {*map(key_of, self.records), *self.vanished}

    def believe(self, batch: Batch, keys: Set[Key]) -> None:
        """These rows of a batch too."""
        keys = keys - self.keys()
        self.records += [record for record in batch if key_of(record) in keys]
        self.vanished += [key for key in batch.vanished if key in keys]


def hold_back(deps: Deps, fetched: Sequence[Fetched]) -> list[Fetched]:
    """The answers without what is held of them; what they are asked for says so (``Fetched.held``)."""
    connection, kind, _ = fetched[0].claims[0].key
    reads = [read_of(one.answer, one.began) for one in fetched]
    held = held_items(deps, connection, kind, reads, waits=frozenset().union(*(one.held for one in fetched)))
    if held is None:
        return list(fetched)
    return [replace(one, answer=split(one.answer, held)[0], held=one.held | held.items) for one in fetched]


def judge_named(deps: Deps, connection: str, kind: Kind, ids: Sequence[str]) -> None:
    """Judge items that a list only names, more than one call fetches, as one batch before they are owed: what is doubted
    waits then, and the item path writes the rest. Raises what the source raises of more than single items."""
    source = deps.bulk_sources[connection]
    size = source.batch_size(kind)
    if kind not in JUDGED or size == 1 or len(ids) <= size:
        return
    for many in batches(ids, CALLS_AT_ONCE * size):
        reads = list[Read]()
        for some in batches(many, size):
            began = deps.now()
            try:
                answer = source.fetch([Ref(kind, id) for id in some])
            except AuthRejected:
                raise
            except Permanent as error:
                log.warning("named_not_judged", connection=connection, items=len(some), error=str(error))
                continue
            reads.append(read_of(msgspec.structs.replace(answer, covers=sure_scopes(answer)), began))
        held_items(deps, connection, kind, reads)


def held_items(
    deps: Deps,
    connection: str,
    kind: Kind,
    reads: Sequence[Read],
    *,
    run_id: int | None = None,
    foreseen: Foreseen | None = None,
    waits: Set[str] = frozenset(),
    rehearsed: Rehearsed | None = None,
) -> HeldItems | None:
    """What is held now of items that were read by id. With ``foreseen`` (a dry run) nothing is written: it returns what
    would be held, and adds what would be believed to ``rehearsed``. ``waits`` are ids of items of these reads that were
    held before: a row of theirs that is missing now is not unreadable."""
    if kind not in JUDGED:
        return None
    seen = (record for read in reads for record in read.records if KINDS[type(record)] is kind)
    records, unstorable = parted(seen)  # what no database can hold fails alone, when it is written
    if foreseen is None:
        unread = {failure.shown for failure in unstorable}.union(*(read.failed for read in reads))
        leave_unread(deps, connection, kind, unread - waits)
    with deps.database.read() as conn:
        hold = holds.open_of(conn, connection, kind)
        if kind is not Kind.PRODUCT and hold is None and _shown(records, reads) < FEW:
            return None
        gone = sorted({key for read in reads for key in catalog.ending(conn, connection, kind, read, deps.now())})
        waiting, otherwise = (
            (set[Key](), set[Key]()) if hold is None else _of_hold(conn, hold.id, kind, records, gone)
        )
    others = [record for record in records if key_of(record) not in waiting]
    batch = Batch(kind, (others,), [key for key in gone if key not in waiting], asked=True)
    keys, reason, rules = waiting, "" if hold is None else hold.reason, list[str]()
    doubts, trickled = _doubts(deps, connection, batch)
    own, before = batch, rehearsed if rehearsed is not None and kind is Kind.PRODUCT and doubts else Rehearsed()
    if len(doubts.keys() | before.keys()) + len(trickled) >= FEW:
        with deps.database.read() as conn:
            first = watermarks.get(conn, connection, kind) is None
        batch = replace(
            batch,
            first=first,
            trickled=trickled,
            records=(*batch.records, [one for one in before.records if key_of(one) not in doubts]),
            vanished=[*batch.vanished, *(key for key in before.vanished if key not in doubts)],
        )
        doubt = judged(deps, connection, batch, FIRST_LOAD if first else POLL, foreseen or NOTHING)
        if foreseen is None:
            began = min(read.began for read in reads)
            settled(deps, connection, doubt, began, absent=_absent(reads), run_id=run_id)
        keys, reason, rules = keys | _doubted(doubt, own), doubt.verdict.reason or reason, doubt.verdict.rules
    if foreseen is None:
        _believe(deps, connection, {key: was for key, was in doubts.items() if key not in keys})
    before.believe(own, doubts.keys() - keys)
    if hold is not None and foreseen is None and otherwise - keys:
        leave_out(deps, hold, otherwise - keys)
    if not keys:
        return None
    shown = {key_of(record): owner_of(record) for record in records if key_of(record) in keys}
    with deps.database.read() as conn:
        parents = catalog.items_of(conn, connection, [key[0] for key in keys if key not in shown])
    items = frozenset({*shown.values(), *parents, *(key[0] for key in keys)})
    rest = {key[0] for key in (*map(key_of, records), *gone) if key not in keys}
    return HeldItems(kind, keys, items, rest, reason, rules)


def _shown(records: Sequence[Record], reads: Sequence[Read]) -> int:
    return len(records) + sum(len(read.covers) + len(read.gone) for read in reads)


def _doubts(deps: Deps, connection: str, batch: Batch) -> tuple[dict[Key, OldListing | None], dict[str, OldListing]]:
    """The rows of a batch that a rule may doubt, products as they were before; with these, those that came before them
    few at a time."""
    if batch.kind is not Kind.PRODUCT:
        return dict.fromkeys(doubtful_counts(deps.database, connection, batch)), {}
    doubts = doubtful_products(deps.database, connection, batch)
    if not doubts:
        return {}, {}
    with deps.database.read() as conn:
        before = trickle.of(conn, connection, deps.now())
    return {**doubts}, {id: was for id, was in before.items() if (id,) not in doubts}


def _believe(deps: Deps, connection: str, doubts: Mapping[Key, OldListing | None]) -> None:
    """Products that are about to change though a rule may doubt it count beside the next ones."""
    before = {key[0]: was for key, was in doubts.items() if was is not None}
    if before:
        with deps.database.begin() as conn:
            trickle.add(conn, connection, before, deps.now())


def split(answer: Answer, held: HeldItems) -> tuple[Answer, Answer]:
    """What of an answer is beyond doubt, and the rest: each with the rows of the other as ones of which nothing is said."""
    sides = [list[Record](), list[Record]()]
    for record in answer.records:
        sides[key_of(record) in held.keys].append(record)
    ids = {key[0] for key in held.keys}
    gone = [ref for ref in answer.gone if ref.external_id not in held.items]
    beyond = msgspec.structs.replace(
        answer, records=sides[0], gone=gone, failed=[*answer.failed, *_waiting_rows(held.kind, ids)]
    )
    rest = Answer(
        sides[1],
        gone=[ref for ref in answer.gone if ref not in gone],
        covers=[scope for scope in answer.covers if scope.value in held.items],
        failed=[*answer.failed, *_waiting_rows(held.kind, held.others - ids)],
    )
    return beyond, rest


def _waiting_rows(kind: Kind, ids: Set[str]) -> list[BadRecord]:
    return [BadRecord(kind, id, WAITS_FOR_A_PERSON) for id in sorted(ids)]


def _of_hold(
    conn: Connection, hold_id: int, kind: Kind, records: Sequence[Record], gone: Sequence[Key]
) -> tuple[set[Key], set[Key]]:
    """The rows that are shown as they wait for a person, and those that are shown otherwise."""
    items = sorted({*(key_of(record)[0] for record in records), *(key[0] for key in gone)})
    waits = {
        row.key: None if row.record is None else row_hash(row.record)
        for row in holds.rows_of(conn, hold_id, kind, items)
    }
    shown: dict[Key, int | None] = {key_of(record): row_hash(record) for record in records}
    shown |= dict.fromkeys(gone)
    both = waits.keys() & shown.keys()
    same = {key for key in both if waits[key] == shown[key]}
    return same, both - same


def _doubted(doubt: Doubt, batch: Batch) -> set[Key]:
    """The rows of the batch that are not believed."""
    return {row.key for row in doubt.verdict.held()} & {*map(key_of, batch), *batch.vanished}


def _absent(reads: Sequence[Read]) -> Absent:
    is_zero = any(scope.absent is Absent.ZERO for read in reads for scope in read.covers)
    return Absent.ZERO if is_zero else Absent.DELETED
