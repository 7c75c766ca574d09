"""Dry runs: the real work is done in a transaction, what it wrote is noted, and the transaction is taken back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection

from app.domain import KINDS, Kind, Record, Ref, key_of
from app.flows.deps import Deps
from app.stores import bulk, drift
from app.stores.drift import DRY_RUN, DriftRow

Key = tuple[str, ...]


@dataclass(frozen=True)
class Effects:
    """What work on some records wrote: keys of ``records``, rows it closed, items that are gone altogether."""

    records: Sequence[Record]
    written: set[Key]
    closed: Sequence[tuple[Kind, Key]] = ()
    gone: Sequence[Ref] = field(default=())


class _TakenBack(Exception):
    """Ends the transaction of a rehearsal."""


def rehearse(deps: Deps, connection: str, work: Callable[[Connection], Effects]) -> list[DriftRow]:
    """The rows that ``work`` would write, each with what it would change; nothing is written."""
    effects: list[Effects] = []
    with suppress(_TakenBack), deps.database.begin() as conn:
        effects.append(work(conn))
        raise _TakenBack
    return [row for effect in effects for row in _rows(deps, connection, effect)]


def _rows(deps: Deps, connection: str, effect: Effects) -> list[DriftRow]:
    rows: list[DriftRow] = []
    by_kind: dict[Kind, list[Record]] = defaultdict(list)
    for record in effect.records:
        if key_of(record) in effect.written:
            by_kind[KINDS[type(record)]].append(record)
    for kind, records in by_kind.items():
        old = bulk.old_values(deps.database, connection, kind, [key_of(record) for record in records])
        for record in records:
            before = old.get(key_of(record))
            change = "missing" if before is None else "differs"
            fields = drift.field_changes(before or {}, record)
            rows.append(DriftRow(kind, "/".join(key_of(record)), change, fields, DRY_RUN, record.modified_at))
    rows += [DriftRow(kind, "/".join(key), "vanished", {}, DRY_RUN) for kind, key in effect.closed]
    return rows + [
        DriftRow(ref.kind, ref.external_id, "vanished", {}, DRY_RUN) for ref in _held(deps, connection, effect)
    ]


def _held(deps: Deps, connection: str, effect: Effects) -> list[Ref]:
    """The gone items that we hold as living."""
    held = []
    for ref in effect.gone:
        if ref.kind is Kind.STOCK:
            continue
        old = bulk.old_values(deps.database, connection, ref.kind, [(ref.external_id,)])
        held += [ref for row in old.values() if not row["deleted"]]
    return held
