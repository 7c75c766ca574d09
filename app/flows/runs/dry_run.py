"""Dry runs: the real work is done in a transaction, what it would write is noted, and the transaction is rolled back."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection

from app.domain import KINDS, Kind, Record, Ref, key_of
from app.flows.deps import Deps
from app.flows.runs.run_state import ActiveRun
from app.rules.runs.kind_counts import KindCounts
from app.stores.catalog import Key, StoredRow, rows_of_items
from app.stores.runs import drift
from app.stores.runs.drift import DRY_RUN, HELD, DriftRow

Rows = Mapping[Key, StoredRow]

T = TypeVar("T")


@dataclass(frozen=True)
class Effects:
    """What work on some records wrote: keys of ``records``, rows it closed, items that are gone, and its counts."""

    records: Sequence[Record]
    written: set[Key]
    closed: Sequence[tuple[Kind, Key]] = ()
    gone: Sequence[Ref] = ()
    counts: KindCounts = field(default_factory=KindCounts)

    def items(self) -> dict[Kind, list[str]]:
        """The first parts of the written rows' keys, by kind."""
        items: dict[Kind, set[str]] = defaultdict(set)
        for record in self.records:
            if key_of(record) in self.written:
                items[KINDS[type(record)]].add(key_of(record)[0])
        for kind, key in self.closed:
            items[kind].add(key[0])
        for ref in self.gone:
            items[ref.kind].add(ref.external_id)
        return {kind: sorted(ids) for kind, ids in sorted(items.items())}


def preview(run: ActiveRun, work: Callable[[Connection], Effects], *, held: bool = False) -> KindCounts:
    """Write down the drift rows of what ``work`` would write, or (``held``) what would be held; returns its counts."""
    rows, counts = would_write(run.deps, run.connection, work)
    if held:
        rows = [row._replace(cause=HELD) for row in rows]

    run.commit(lambda conn: drift.write_anew(conn, run.id, run.connection, rows, now=run.deps.now()))
    return counts


def would_write(
    deps: Deps, connection: str, work: Callable[[Connection], Effects]
) -> tuple[list[DriftRow], KindCounts]:
    """The rows that ``work`` would write, each with what it would change, and its counts."""

    def noted(conn: Connection) -> tuple[Effects, dict[Kind, Rows]]:
        effects = work(conn)
        return effects, {kind: rows_of_items(conn, connection, kind, ids) for kind, ids in effects.items().items()}

    effects, after = rolled_back(deps, noted)
    with deps.database.read() as conn:
        before = {
            kind: rows_of_items(conn, connection, kind, sorted({key[0] for key in rows}))
            for kind, rows in after.items()
        }
    closed = set(effects.closed)
    rows = [row for kind, rows in after.items() for row in _differing(kind, before[kind], rows, closed)]
    return rows, effects.counts


def rolled_back(deps: Deps, work: Callable[[Connection], T]) -> T:
    """The result of some work in a transaction that is then rolled back."""
    with deps.database.begin() as conn:
        result = work(conn)
        conn.rollback()
    return result


def _differing(kind: Kind, before: Rows, after: Rows, closed: Set[tuple[Kind, Key]]) -> list[DriftRow]:
    """One row for each record that differs afterwards. The tombstone of an item that we never had changes nothing."""
    rows = []
    for key in sorted(after):
        old, new = before.get(key), after[key]
        fields = drift.field_changes(old and old.record, new.record)
        if fields and (old is not None or new.row_hash != 0):
            ends = new.row_hash == 0 or (kind, key) in closed
            change = "missing" if old is None else "vanished" if ends else "differs"
            rows.append(DriftRow(kind, "/".join(key), change, fields, DRY_RUN, new.record.modified_at))
    return rows
