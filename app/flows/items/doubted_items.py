"""Judges items that were fetched by id before they are written; those that share a commit are one batch.

So the guard also judges a list that only names what changed, a storm of webhooks, and a run by ids. None of them writes a
row that waits for a person already, even if it is shown alone.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec
import structlog
from sqlalchemy import Connection

from app.domain import KINDS, Answer, BadRecord, Kind, MissingPolicy, Record, Ref, batches, key_of, row_hash
from app.errors import AuthRejected, BadAnswer, Permanent, Transient, Unavailable
from app.flows.connections import health
from app.flows.connections.health import Fault
from app.flows.deps import Deps
from app.flows.holds.doubted import Doubt, judged, settled
from app.flows.holds.hold_back import leave_out, leave_unread
from app.flows.holds.plausible import Verdict
from app.flows.items.bad_records import item_of, split_storable, sure_scopes
from app.flows.items.fetching import WAITS_FOR_A_PERSON, Fetched, read_of
from app.rules.guard.guard import FIRST_LOAD, POLL
from app.rules.guard.traits import OldListing
from app.stores import catalog
from app.stores.catalog import Key, Read, watermarks
from app.stores.guard import Batch, doubtful_counts, doubtful_products, held_rows, holds, trickle
from app.stores.guard.foreseen import NOTHING, Foreseen
from app.stores.guard.held_rows import HeldRow
from app.stores.guard.holds import Hold

JUDGED = (Kind.PRODUCT, Kind.STOCK)
"""The rules for the other kinds judge only numbers of rows, and somebody asked for so many by id."""

MIN_ROWS = 3
"""No rule doubts fewer rows than this."""

CALLS_PER_BATCH = 20
"""Items that a list only names are judged as one batch when at most this many calls fetch them."""

log = structlog.get_logger()


@dataclass(frozen=True)
class HeldItems:
    """The rows that are held of what was shown (``keys``), the ``items`` that they belong to, the ids of the other shown
    rows, why they are held, the item of each row (``owners``, by the first part of its key), and by which rules."""

    kind: Kind
    keys: Set[Key]
    items: frozenset[str]
    others: Set[str]
    reason: str
    owners: Mapping[str, str]
    rules: Sequence[str] = ()


@dataclass
class BelievedRows:
    """Doubtful rows that a dry run would have believed so far: the guard judges the next ones together with them."""

    records: list[Record] = field(default_factory=list)
    vanished: list[Key] = field(default_factory=list)

    def keys(self) -> set[Key]:
        """The keys of all of these rows."""
        return {*map(key_of, self.records), *self.vanished}

    def believe(self, batch: Batch, keys: Set[Key]) -> None:
        """Add these rows of a batch."""
        keys = keys - self.keys()
        self.records += [record for record in batch if key_of(record) in keys]
        self.vanished += [key for key in batch.vanished if key in keys]


def hold_back(deps: Deps, fetched: Sequence[Fetched]) -> list[Fetched]:
    """The answers without the rows that are held; ``Fetched.held`` names the items that these belong to."""
    connection, kind, _ = fetched[0].claims[0].key
    reads = [read_of(one.answer, one.began) for one in fetched]
    before = frozenset[str]().union(*(one.held for one in fetched))
    held = held_items(deps, connection, kind, reads, held_ids=before)
    if held is None:
        return list(fetched)
    return [replace(one, answer=split(one.answer, held)[0], held=one.held | held.items) for one in fetched]


def judge_named(deps: Deps, connection: str, kind: Kind, ids: Sequence[str]) -> None:
    """Fetch and judge, before they are owed, items that a list only names and that one call cannot fetch: doubtful rows
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
        held_items(deps, connection, kind, reads)


def held_items(
    deps: Deps,
    connection: str,
    kind: Kind,
    reads: Sequence[Read],
    *,
    run_id: int | None = None,
    foreseen: Foreseen | None = None,
    held_ids: Set[str] = frozenset(),
    believed: BelievedRows | None = None,
) -> HeldItems | None:
    """Judge items that were read by id; returns what is held of them now. With ``foreseen`` (a dry run) this writes
    nothing, returns what would be held, and adds the rows that would be believed to ``believed``. ``held_ids`` are items
    of these reads that were held before: a row of theirs that is missing now is not unreadable."""
    if kind not in JUDGED:
        return None
    dry = foreseen is not None
    records = _storable(deps, connection, kind, reads, held_ids, dry=dry)
    with deps.database.read() as conn:
        hold = holds.open_of(conn, connection, kind)
        if kind is not Kind.PRODUCT and hold is None and _size(records, reads) < MIN_ROWS:
            return None
        ends = [
            (key, read.began) for read in reads for key in catalog.ending(conn, connection, kind, read, deps.now())
        ]
        gone = sorted({key for key, _ in ends})
        shown = [(key_of(one), read.began) for read in reads for one in read.records if KINDS[type(one)] is kind]
        began = dict(sorted([*shown, *ends]))
        waiting, changed = (set[Key](), set[Key]())
        if hold is not None:
            waiting, changed = _compare_with_hold(conn, hold, records, gone, began)
    if hold is not None and not dry and not _confirm(deps, hold, {key: began[key] for key in waiting}):
        return held_items(deps, connection, kind, reads, run_id=run_id, held_ids=held_ids, believed=believed)
    others = [record for record in records if key_of(record) not in waiting]
    batch = Batch(kind, (others,), [key for key in gone if key not in waiting], asked=True)
    doubt, keys = _judge(deps, connection, batch, reads, foreseen, believed, run_id)
    keys |= waiting
    if hold is not None and not dry:
        leave_out(deps, hold, {key: began[key] for key in changed - keys})
    if not keys:
        return None
    verdict = Verdict() if doubt is None else doubt.verdict
    reason = verdict.reason or ("" if hold is None else hold.reason)
    return _named(deps, connection, kind, keys, records, gone, reason, verdict.rules)


def _storable(
    deps: Deps, connection: str, kind: Kind, reads: Sequence[Read], held_ids: Set[str], *, dry: bool
) -> list[Record]:
    """The shown records of a kind that a database can hold; the others fail alone, when they are written. Rows that are
    shown unreadably leave the hold of their kind."""
    records = list[Record]()
    for read in reads:
        good, failures = split_storable(record for record in read.records if KINDS[type(record)] is kind)
        records += good
        if not dry:
            unread = {failure.shown for failure in failures} | {*read.failed}
            leave_unread(deps, connection, kind, unread - held_ids, read.began)
    return records


def _judge(
    deps: Deps,
    connection: str,
    batch: Batch,
    reads: Sequence[Read],
    foreseen: Foreseen | None,
    believed: BelievedRows | None,
    run_id: int | None,
) -> tuple[Doubt | None, set[Key]]:
    """The guard's verdict on a batch (``None`` if too few rows are doubtful), and the rows that it holds. The doubtful
    rows that it believes are noted, to be judged together with later ones."""
    doubts, trickled = _doubts(deps, connection, batch)
    earlier = believed if believed is not None and batch.kind is Kind.PRODUCT and doubts else BelievedRows()
    doubt, keys = None, set[Key]()
    if len(doubts.keys() | earlier.keys()) + len(trickled) >= MIN_ROWS:
        with deps.database.read() as conn:
            first = watermarks.get(conn, connection, batch.kind) is None
        whole = replace(
            batch,
            first=first,
            trickled=trickled,
            records=(*batch.records, [one for one in earlier.records if key_of(one) not in doubts]),
            vanished=[*batch.vanished, *(key for key in earlier.vanished if key not in doubts)],
        )
        doubt = judged(deps, connection, whole, FIRST_LOAD if first else POLL, foreseen or NOTHING)
        keys = _held_rows(doubt, batch)
        if foreseen is None:
            began = min(read.began for read in reads)
            settled(deps, connection, doubt, began, absent=_absent(reads), run_id=run_id)
    if foreseen is None:
        _believe(deps, connection, {key: before for key, before in doubts.items() if key not in keys})
    earlier.believe(batch, doubts.keys() - keys)
    return doubt, keys


def _named(
    deps: Deps,
    connection: str,
    kind: Kind,
    keys: Set[Key],
    records: Sequence[Record],
    gone: Sequence[Key],
    reason: str,
    rules: Sequence[str],
) -> HeldItems:
    """The held rows with the items that they belong to: those shown, their parents here, and their own ids."""
    with deps.database.read() as conn:
        owners = catalog.owners_of(conn, connection, sorted({key[0] for key in (*keys, *gone)}))
    owners |= {key_of(record)[0]: item_of(record) for record in records}
    held_ids = {key[0] for key in keys}
    items = frozenset({*held_ids, *(owners[id] for id in held_ids if id in owners)})
    others = {key[0] for key in (*map(key_of, records), *gone) if key not in keys}
    return HeldItems(kind, keys, items, others, reason, owners, rules)


def _size(records: Sequence[Record], reads: Sequence[Read]) -> int:
    return len(records) + sum(len(read.covers) + len(read.gone) for read in reads)


def _doubts(deps: Deps, connection: str, batch: Batch) -> tuple[dict[Key, OldListing | None], dict[str, OldListing]]:
    """The rows of a batch that a rule may doubt, for products each with its state before; and the products that changed
    doubtfully a few at a time in the last hour."""
    if batch.kind is not Kind.PRODUCT:
        return dict.fromkeys(doubtful_counts(deps.database, connection, batch)), {}
    doubts = doubtful_products(deps.database, connection, batch)
    if not doubts:
        return {}, {}
    with deps.database.read() as conn:
        trickled = trickle.of(conn, connection, deps.now())
    return {**doubts}, {id: before for id, before in trickled.items() if (id,) not in doubts}


def _believe(deps: Deps, connection: str, doubts: Mapping[Key, OldListing | None]) -> None:
    """Note doubtful products that are about to change: the guard judges the next ones together with them."""
    believed = {key[0]: before for key, before in doubts.items() if before is not None}
    if believed:
        with deps.database.begin() as conn:
            trickle.add(conn, connection, believed, deps.now())


def split(answer: Answer, held: HeldItems) -> tuple[Answer, Answer]:
    """The part of an answer that is beyond doubt, and the rest. In each, the rows of the other are shown as failed records,
    so that they do not count as vanished."""
    sides = [list[Record](), list[Record]()]
    for record in answer.records:
        sides[key_of(record) in held.keys].append(record)
    ids = {key[0] for key in held.keys}
    gone = [ref for ref in answer.gone if ref.external_id not in held.items]
    beyond = msgspec.structs.replace(
        answer, records=sides[0], gone=gone, failed=[*answer.failed, *_waiting_rows(held, ids)]
    )
    rest = Answer(
        sides[1],
        gone=[ref for ref in answer.gone if ref not in gone],
        covers=[scope for scope in answer.covers if scope.value in held.items],
        failed=[*answer.failed, *_waiting_rows(held, held.others - ids)],
    )
    return beyond, rest


def _waiting_rows(held: HeldItems, ids: Set[str]) -> list[BadRecord]:
    return [BadRecord(held.kind, id, WAITS_FOR_A_PERSON, held.owners.get(id, "")) for id in sorted(ids)]


def _compare_with_hold(
    conn: Connection, hold: Hold, records: Sequence[Record], gone: Sequence[Key], began: Mapping[Key, datetime]
) -> tuple[set[Key], set[Key]]:
    """The rows of a hold that wait on, as they are shown again or a later read showed them, and those that are shown with
    other content. ``began`` tells when the reads began that show rows now."""
    items = sorted({*(key_of(record)[0] for record in records), *(key[0] for key in gone)})
    held = {row.key: row for row in held_rows.of_items(conn, hold.id, hold.kind, items)}
    shown: dict[Key, int | None] = {key_of(record): row_hash(record) for record in records}
    shown |= dict.fromkeys(gone)
    both = held.keys() & shown.keys()
    waiting = {key for key in both if shown[key] == _content(held[key]) or hold.began_at_of(held[key]) > began[key]}
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
