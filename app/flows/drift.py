"""Writes down what a nightly run found different, field by field, and why: one drift row per differing row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from app.domain import SKU_PREFIX, Kind, Listing, Record, batches, key_of
from app.flows.absorb import Absorbed
from app.flows.bad_records import MOST_NOTED, Failure
from app.flows.deps import Deps
from app.rules.drift import DriftCause, Traces, cause_of
from app.stores import bulk, drift, traces
from app.stores.bulk import Diff
from app.stores.catalog_sql import horizon
from app.stores.drift import DriftRow
from app.stores.traces import Heard

CHUNK = 500

LOCALLY_EDITED = -1
"""The ``row_hash`` that the database itself writes when a row is changed by anybody but us (migration 0002)."""

Key = tuple[str, ...]


def record_drift(
    deps: Deps, connection: str, run_id: int, diff: Diff, read_at: datetime, *, cause: str | None = None
) -> None:
    """Write the drift rows of a believed diff, with the cause that each one's traces tell, or the given one.

    A first load is no drift: there was nothing to be wrong; a given cause is told even then. A run that goes on after a
    crash writes no item twice.
    """
    if diff.total_local == 0 and cause is None:
        return
    with deps.database.read() as conn:
        known = drift.items(conn, run_id, diff.kind)
    for chunk in batches(chain(diff.created, diff.changed), CHUNK):
        rows = _of_records(deps, connection, diff.kind, chunk, read_at)
        _write(deps, connection, run_id, (row for row in rows if row.item not in known), cause)
    for keys in batches(diff.vanished, CHUNK):
        rows = _of_vanished(deps, connection, diff.kind, keys)
        _write(deps, connection, run_id, (row for row in rows if row.item not in known), cause)


def _write(deps: Deps, connection: str, run_id: int, rows: Iterable[DriftRow], cause: str | None) -> None:
    found = [row if cause is None else replace(row, cause=cause) for row in rows]
    if found:
        with deps.database.begin() as conn:
            drift.write(conn, run_id, connection, found, now=deps.now())


def _write_anew(deps: Deps, connection: str, run_id: int, kind: Kind, rows: Iterable[DriftRow]) -> None:
    """In place of what the run wrote of these items before."""
    found = list(rows)
    if found:
        with deps.database.begin() as conn:
            drift.forget(conn, run_id, kind, [row.item for row in found])
            drift.write(conn, run_id, connection, found, now=deps.now())


def _of_records(
    deps: Deps, connection: str, kind: Kind, records: Sequence[Record], read_at: datetime
) -> Iterator[DriftRow]:
    old = bulk.old_values(deps.database, connection, kind, [key_of(record) for record in records])
    heard = _heard(deps, connection, kind, {name for record in records for name in _names(record)})
    future = horizon(deps.now())  # a row dated beyond it was written by a wrong clock
    for record in records:
        before = old.get(key_of(record))
        if before is not None and read_at <= before["read_at"] <= future:
            continue  # a live sync was faster than this run: not a difference any more
        yield DriftRow(
            kind=kind,
            item="/".join(key_of(record)),
            change="missing" if before is None else "differs",
            fields=drift.field_changes(before or {}, record),
            cause=cause_of(_traces(record, before, heard)),
            since=record.modified_at,
        )


def _of_vanished(deps: Deps, connection: str, kind: Kind, keys: Sequence[Key]) -> Iterator[DriftRow]:
    heard = _heard(deps, connection, kind, {key[0] for key in keys})
    for key in keys:
        waiting, failing = key[0] in heard.waiting, key[0] in heard.failing
        cause = cause_of(Traces(failing=failing, waiting=waiting))
        yield DriftRow(kind=kind, item="/".join(key), change="vanished", fields={}, cause=cause, since=None)


def record_left(deps: Deps, connection: str, run_id: int, absorbed: Absorbed) -> None:
    """Write the drift rows of what a repaired kind still differs in: rows that are newer than the read, or that a
    newer one refused, and records that could not be read or stored."""
    if absorbed.diff.total_local == 0:
        return
    kind = absorbed.diff.kind
    wanted = [_Left(key_of(record), record) for record in absorbed.diff.passed]
    wanted += [_Left(key) for key in (*absorbed.diff.unshown, *absorbed.written.kept)]
    refused = set(absorbed.written.refused)
    if refused:
        changed = chain(absorbed.diff.created, absorbed.diff.changed, absorbed.diff.touched)
        wanted += [_Left(key_of(record), record) for record in changed if key_of(record) in refused]
    for some in batches(wanted, CHUNK):
        _write_anew(deps, connection, run_id, kind, _of_left(deps, connection, kind, some, absorbed.read_at))
    for failures in batches(absorbed.failures[:MOST_NOTED], CHUNK):
        _write_anew(deps, connection, run_id, kind, _of_failures(failures))


class _Left(NamedTuple):
    """A row that stays as it is, and what the read showed of it, if it did."""

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
        )


def _of_failures(failures: Sequence[Failure]) -> Iterator[DriftRow]:
    for ref, _ in failures:
        yield DriftRow(kind=ref.kind, item=ref.external_id, change="differs", cause=DriftCause.FAILED)


def _heard(deps: Deps, connection: str, kind: Kind, names: set[str]) -> Heard:
    with deps.database.read() as conn:
        return traces.heard(conn, connection, kind, sorted(names))


def _names(record: Record) -> list[str]:
    """The external ids under which the record's item can have been owed."""
    names = [key_of(record)[0]]
    if isinstance(record, Listing):
        names += [record.parent_id] if record.parent_id else []
        names += [SKU_PREFIX + record.sku] if record.sku else []
    return names


def _traces(record: Record, before: Mapping[str, Any] | None, heard: Heard) -> Traces:
    names = _names(record)
    last = max((heard.last[name] for name in names if name in heard.last), default=None)
    changed = record.modified_at
    return Traces(
        edited=before is not None and before["row_hash"] == LOCALLY_EDITED,
        failing=any(name in heard.failing for name in names),
        waiting=any(name in heard.waiting for name in names),
        heard=last is not None and changed is not None and last >= changed,
    )
