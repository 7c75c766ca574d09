"""What nightly runs found different, row by row, with what differed and why."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, delete, func, insert, select, update

from app.domain import Kind, Record, StockCount
from app.stores.sql.statements import json_text
from app.stores.tables import Drift, Run, core

DRY_RUN = "dry_run"
"""The cause in the rows of a dry run: they say what a real one would write."""

HELD = "held"
"""The cause in the rows of a dry run that a real one would not write, because the guard would hold them."""

_NOT_CONTENT = frozenset({"version", "modified_at"})
LONGEST_RUN = timedelta(days=2)
"""A run that was requested longer ago than this has found nothing just now."""

_runs = core(Run)
_table = core(Drift)


class DriftRow(NamedTuple):
    """One difference; ``item`` is the record's key joined by "/", the other fields are explained at ``tables.Drift``."""

    kind: Kind
    item: str
    change: str
    fields: Mapping[str, Sequence[Any]] = MappingProxyType({})
    cause: str = "unknown"
    since: datetime | None = None
    since_latest: datetime | None = None
    why: str | None = None


class Difference(NamedTuple):
    """A difference that was written down; the fields are explained at ``tables.Drift``; ``fields`` is ``{field: [old,
    new]}``."""

    id: int
    run_id: int | None
    connection: str
    kind: str
    item: str
    change: str
    fields: Mapping[str, Sequence[Any]]
    cause: str
    since: datetime | None
    since_latest: datetime | None
    why: str | None
    corrected_from: str | None
    corrected_at: datetime | None
    found_at: datetime


class DriftCount(NamedTuple):
    """How many rows of a run share kind, change and cause."""

    kind: Kind
    change: str
    cause: str
    rows: int


def write(conn: Connection, run_id: int | None, connection: str, rows: Sequence[DriftRow], *, now: datetime) -> None:
    """Write what a run found, or (``None``) a spot check; ``now`` is when it was found."""
    shared = {"run_id": run_id, "connection": connection, "found_at": now}
    if rows:
        conn.execute(insert(_table), [{**shared, **_columns(row)} for row in rows])


def write_anew(conn: Connection, run_id: int, connection: str, rows: Sequence[DriftRow], *, now: datetime) -> None:
    """Write what a run found of these items, in place of what it wrote of them before: after a crash it may do this part of
    its work again."""
    for kind in sorted({row.kind for row in rows}):
        of_kind = (_table.c.run_id == run_id) & (_table.c.kind == kind)
        same = _table.c["item"].in_([row.item for row in rows if row.kind == kind])
        conn.execute(delete(_table).where(of_kind, same))
    write(conn, run_id, connection, rows, now=now)


def items(conn: Connection, run_id: int, kind: Kind) -> set[str]:
    """The items of a kind that a run has written differences of; a run that goes on after a crash may have some."""
    wanted = select(_table.c["item"]).where(_table.c.run_id == run_id, _table.c.kind == kind)
    return set(conn.execute(wanted).scalars())


def of_run(conn: Connection, run_id: int, limit: int = 100, after_id: int = 0) -> list[Difference]:
    """A run's differences after an id, oldest first."""
    wanted = select(_table).where(_table.c.run_id == run_id, _table.c.id > after_id)
    return read_back(conn, wanted.order_by(_table.c.id).limit(limit))


def with_causes_since(
    conn: Connection, connection: str, causes: Collection[str], since: datetime, after_id: int, limit: int
) -> list[Difference]:
    """Differences found since a moment with one of these causes, after an id, oldest first."""
    recent = select(_runs.c.id).where(_runs.c.connection == connection, _runs.c.created_at >= since - LONGEST_RUN)
    wanted = select(_table).where(
        _table.c.run_id.in_(recent) | (_table.c.run_id.is_(None) & (_table.c.connection == connection)),
        _table.c.id > after_id,
        _table.c.found_at >= since,
        _table.c.cause.in_(sorted(causes)),
    )
    return read_back(conn, wanted.order_by(_table.c.id).limit(limit))


def read_back(conn: Connection, wanted: Select[Any]) -> list[Difference]:
    """The rows of a selection of all columns."""
    rows = conn.execute(wanted).mappings()
    return [Difference(**{**row, "fields": msgspec.json.decode(row["fields"])}) for row in rows]


def correct(conn: Connection, row_id: int, cause: str, why: str, now: datetime) -> None:
    """Replace a difference's cause; the former one stays in ``corrected_from``."""
    news = {"cause": cause, "why": why, "corrected_from": _table.c.cause, "corrected_at": now}
    conn.execute(update(_table).where(_table.c.id == row_id).values(news))


def summary(conn: Connection, run_id: int) -> list[DriftCount]:
    """A run's differences counted by kind, change and cause, in that order."""
    by = (_table.c.kind, _table.c.change, _table.c.cause)
    wanted = select(*by, func.count()).where(_table.c.run_id == run_id).group_by(*by).order_by(*by)
    return [DriftCount(Kind(kind), change, cause, rows) for kind, change, cause, rows in conn.execute(wanted)]


def missed(conn: Connection, connection: str, since: datetime) -> dict[Kind, int]:
    """Rows per kind that were found different since a moment: what events and polls had missed."""
    recent = (_table.c.connection == connection, _table.c.found_at >= since, _table.c.cause.not_in((DRY_RUN, HELD)))
    counts = conn.execute(select(_table.c.kind, func.count()).where(*recent).group_by(_table.c.kind))
    return {Kind(kind): count for kind, count in counts}


def field_changes(old: Record | None, new: Record) -> dict[str, list[Any]]:
    """``{field: [old, new]}`` of the fields whose content differs; all that are set, where there is no old row."""
    names = (name for name in new.__struct_fields__ if name not in _NOT_CONTENT)
    pairs = ((name, None if old is None else getattr(old, name), getattr(new, name)) for name in names)
    return {name: [before, after] for name, before, after in pairs if before != after}


def end_changes(old: Record) -> dict[str, list[Any]]:
    """What a row that vanished becomes: stock is zero, anything else a tombstone."""
    end = {"quantity": Decimal(0), "extra": None} if isinstance(old, StockCount) else {"deleted": True}
    return field_changes(old, msgspec.structs.replace(old, **end))


def _columns(row: DriftRow) -> dict[str, Any]:
    fields = {name: change for name, change in row.fields.items() if name not in _NOT_CONTENT}
    return {**row._asdict(), "fields": json_text(fields)}
