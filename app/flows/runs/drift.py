"""Writes a drift row for each row that a complete read found different: field by field, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from app.domain import Kind, Record, batches, key_of
from app.flows.deps import Deps
from app.flows.items.bad_records import MOST_NOTED
from app.flows.items.bulk_read import Absorbed
from app.flows.runs.reasons import Background, Differing, reasons
from app.rules.drift.drift import DriftCause
from app.stores.catalog import bulk
from app.stores.catalog.bulk import Diff
from app.stores.catalog.catalog_sql import horizon
from app.stores.runs import drift
from app.stores.runs.drift import DriftRow

CHUNK = 500

Key = tuple[str, ...]


def record_drift(
    deps: Deps,
    connection: str,
    run_id: int,
    diff: Diff,
    read_at: datetime,
    known: Background | None = None,
    *,
    cause: str | None = None,
) -> None:
    """Write a drift row for each row of a believed diff: with the given cause, else with the reason that follows from its
    traces and from what is ``known`` of the kind.

    A first load writes no drift rows, unless a cause is given. A run that continues after a crash writes no item twice.
    """
    if diff.total_local == 0 and cause is None:
        return
    kind = diff.kind
    with deps.database.read() as conn:
        written = drift.items(conn, run_id, kind)
    for rows in _differing(deps, connection, diff, read_at):
        fresh = [row for row in rows if "/".join(row.key) not in written]
        if not fresh:
            continue
        if known is None:
            differences = [_plain(kind, row, cause or DriftCause.UNKNOWN) for row in fresh]
        else:
            differences = explained(deps, connection, kind, fresh, read_at, known)
        with deps.database.begin() as conn:
            drift.write(conn, run_id, connection, differences, now=deps.now())


def _differing(deps: Deps, connection: str, diff: Diff, read_at: datetime) -> Iterator[list[Differing]]:
    """The rows of a diff with what we hold, some hundred at a time."""
    for records in batches(chain(diff.created, diff.changed), CHUNK):
        yield list(_of_records(deps, connection, diff.kind, records, read_at))
    for keys in batches(diff.vanished, CHUNK):
        old = bulk.old_values(deps.database, connection, diff.kind, keys)
        yield [Differing(key, old.get(key), None) for key in keys]


def _of_records(
    deps: Deps, connection: str, kind: Kind, records: Sequence[Record], read_at: datetime
) -> Iterator[Differing]:
    old = bulk.old_values(deps.database, connection, kind, [key_of(record) for record in records])
    future = horizon(deps.now())  # a row dated beyond it was written by a wrong clock
    for record in records:
        before = old.get(key_of(record))
        if before is not None and read_at <= before["read_at"] <= future:
            continue  # the item path was faster than this run: the row does not differ any more
        yield Differing(key_of(record), before, record)


def explained(
    deps: Deps, connection: str, kind: Kind, rows: Sequence[Differing], read_at: datetime, known: Background
) -> list[DriftRow]:
    """The drift rows of some hundred differing rows, each with its reason; ``read_at`` is when their read began."""
    whys = reasons(deps, connection, kind, rows, read_at, known)
    return [
        _plain(kind, row, why.cause)._replace(since=why.since, since_latest=why.latest, why=why.why)
        for row, why in zip(rows, whys, strict=True)
    ]


def unreadable(kind: Kind, item: str) -> DriftRow:
    """The drift row of an item that the source has, but that cannot be read or stored."""
    why = "The source shows it, and it could not be read or stored."
    return DriftRow(kind, item, "differs", cause=DriftCause.FAILED, why=why)


def _plain(kind: Kind, row: Differing, cause: str) -> DriftRow:
    before = row.before or {}
    ended = drift.end_changes(kind, before) if before else {}
    fields = ended if row.record is None else drift.field_changes(before, row.record)
    return DriftRow(kind, "/".join(row.key), row.change, fields, cause)


def record_left(deps: Deps, connection: str, run_id: int, absorbed: Absorbed) -> None:
    """Write a drift row for each row that still differs after a repair: our row is newer than the read or than the source's
    record, or the record could not be read or stored."""
    if absorbed.diff.total_local == 0:
        return
    kind = absorbed.diff.kind
    wanted = [_Left(key_of(record), record) for record in absorbed.diff.passed]
    wanted += [_Left(key) for key in (*absorbed.diff.unshown, *absorbed.written.kept)]
    refused = set(absorbed.written.refused)
    if refused:
        changed = chain(absorbed.diff.created, absorbed.diff.changed, absorbed.diff.touched)
        wanted += [_Left(key_of(record), record) for record in changed if key_of(record) in refused]
    rows = chain.from_iterable(
        _of_left(deps, connection, kind, some, absorbed.read_at) for some in batches(wanted, CHUNK)
    )
    bad = (unreadable(each.ref.kind, each.ref.external_id) for each in absorbed.failures[:MOST_NOTED])
    for some_rows in batches(chain(rows, bad), CHUNK):
        with deps.database.begin() as conn:
            drift.write_anew(conn, run_id, connection, some_rows, now=deps.now())


_NEWER_HERE = "Our row was written while the run read, and is newer than what the run was shown."
_OLDER_THERE = "The source shows an older version than we hold, and does not say why."


class _Left(NamedTuple):
    """A row that stays as it is, and the source's record of it, if the read had one."""

    key: Key
    record: Record | None = None


def _of_left(deps: Deps, connection: str, kind: Kind, rows: Sequence[_Left], read_at: datetime) -> Iterator[DriftRow]:
    old = bulk.old_values(deps.database, connection, kind, [row.key for row in rows])
    for key, record in rows:
        before = old.get(key)
        late = before is not None and before["read_at"] > read_at
        yield DriftRow(
            kind=kind,
            item="/".join(key),
            change="missing" if before is None else "vanished" if record is None else "differs",
            fields={} if record is None else drift.field_changes(before or {}, record),
            cause=DriftCause.LATE if late else DriftCause.UNKNOWN,
            since=None if record is None else record.modified_at,
            since_latest=deps.now(),
            why=_NEWER_HERE if late else _OLDER_THERE,
        )
