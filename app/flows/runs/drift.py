"""Writes down what a complete read found different, field by field, and why: one drift row per differing row."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from app.domain import Kind, Record, batches, key_of
from app.flows.deps import Deps
from app.flows.items.bad_records import MAX_RECORDED
from app.flows.items.bulk_read import BulkResult
from app.flows.runs.reasons import Background, Differing, reasons
from app.rules.drift.drift import DriftCause
from app.stores.catalog import stored_rows
from app.stores.catalog.catalog_sql import horizon
from app.stores.catalog.diff import Diff
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
    """Write the drift rows of an accepted diff: each with the reason that follows from its traces and from what is ``known``
    of the kind, or with the given cause.

    A first load writes no rows, as nothing was wrong before it, unless a cause is given. A run that goes on after a
    crash writes no item twice.
    """
    if diff.total_local == 0 and cause is None:
        return
    for rows in _unwritten(deps, connection, run_id, diff, read_at):
        if known is None:
            drift_rows = [_plain(diff.kind, row, cause or DriftCause.UNKNOWN) for row in rows]
        else:
            drift_rows = explained(deps, connection, diff.kind, rows, read_at, known)
        with deps.database.begin() as conn:
            drift.write(conn, run_id, connection, drift_rows, now=deps.now())


def _unwritten(deps: Deps, connection: str, run_id: int, diff: Diff, read_at: datetime) -> Iterator[list[Differing]]:
    """The differing rows that the run has not written yet, a few hundred at a time."""
    with deps.database.read() as conn:
        written = drift.items(conn, run_id, diff.kind)
    chunks = (
        _of_records(deps, connection, diff.kind, some, read_at)
        for some in batches(chain(diff.created, diff.changed), CHUNK)
    )
    ended = (_of_keys(deps, connection, diff.kind, some) for some in batches(diff.vanished, CHUNK))
    for chunk in chain(chunks, ended):
        if rows := [row for row in chunk if "/".join(row.key) not in written]:
            yield rows


def _of_records(
    deps: Deps, connection: str, kind: Kind, records: Sequence[Record], read_at: datetime
) -> Iterator[Differing]:
    old = stored_rows(deps.database, connection, kind, [key_of(record) for record in records])
    future = horizon(deps.now())  # a row dated beyond it was written by a wrong clock
    for record in records:
        before = old.get(key_of(record))
        if before is not None and read_at <= before.read_at <= future:
            continue  # a live sync was faster than this run: not a difference any more
        yield Differing(key_of(record), before, record)


def _of_keys(deps: Deps, connection: str, kind: Kind, keys: Sequence[Key]) -> Iterator[Differing]:
    old = stored_rows(deps.database, connection, kind, keys)
    return (Differing(key, old.get(key), None) for key in keys)


def explained(
    deps: Deps, connection: str, kind: Kind, rows: Sequence[Differing], read_at: datetime, known: Background
) -> list[DriftRow]:
    """The drift rows of a few hundred differing rows, each with its reason; ``read_at`` is when the read of them began."""
    whys = reasons(deps, connection, kind, rows, read_at, known)
    return [
        _plain(kind, row, why.cause)._replace(since=why.since, since_latest=why.latest, why=why.why)
        for row, why in zip(rows, whys, strict=True)
    ]


def unreadable(kind: Kind, item: str) -> DriftRow:
    """The drift row of an item that the source shows, and that cannot be read or stored."""
    why = "The source shows it, and it could not be read or stored."
    return DriftRow(kind, item, "differs", cause=DriftCause.FAILED, why=why)


def _plain(kind: Kind, row: Differing, cause: str) -> DriftRow:
    before = None if row.before is None else row.before.record
    ended = {} if before is None else drift.end_changes(before)
    fields = ended if row.record is None else drift.field_changes(before, row.record)
    return DriftRow(kind, "/".join(row.key), row.change, fields, cause)


def _replace(deps: Deps, connection: str, run_id: int, rows: Iterable[DriftRow]) -> None:
    drift_rows = list(rows)
    if drift_rows:
        with deps.database.begin() as conn:
            drift.write_anew(conn, run_id, connection, drift_rows, now=deps.now())


def record_left(deps: Deps, connection: str, run_id: int, result: BulkResult) -> None:
    """Write the drift rows of what a repaired kind still differs in: rows that are newer than the read, or that a
    newer one refused, and records that could not be read or stored."""
    if result.diff.total_local == 0:
        return
    kind = result.diff.kind
    wanted = [_Left(key_of(record), record) for record in result.diff.passed]
    wanted += [_Left(key) for key in (*result.diff.unshown, *result.written.kept)]
    refused = set(result.written.refused)
    if refused:
        changed = chain(result.diff.created, result.diff.changed, result.diff.touched)
        wanted += [_Left(key_of(record), record) for record in changed if key_of(record) in refused]
    for some in batches(wanted, CHUNK):
        _replace(deps, connection, run_id, _of_left(deps, connection, kind, some, result.read_at))
    for failures in batches(result.failures[:MAX_RECORDED], CHUNK):
        rows = (unreadable(failure.ref.kind, failure.ref.external_id) for failure in failures)
        _replace(deps, connection, run_id, rows)


_NEWER_HERE = "Our row was written while the run read, and is newer than what the run was shown."
_OLDER_THERE = "The source shows an older version than ours, and does not say why."


class _Left(NamedTuple):
    """A row that stays as it is, and what the read showed of it, if it did."""

    key: Key
    record: Record | None = None


def _of_left(deps: Deps, connection: str, kind: Kind, rows: Sequence[_Left], read_at: datetime) -> Iterator[DriftRow]:
    old = stored_rows(deps.database, connection, kind, [row.key for row in rows])
    for key, record in rows:
        before = old.get(key)
        late = before is not None and before.read_at > read_at
        yield DriftRow(
            kind=kind,
            item="/".join(key),
            change="missing" if before is None else "vanished" if record is None else "differs",
            fields={} if record is None else drift.field_changes(before and before.record, record),
            cause=DriftCause.LATE if late else DriftCause.UNKNOWN,
            since=None if record is None else record.modified_at,
            since_latest=deps.now(),
            why=_NEWER_HERE if late else _OLDER_THERE,
        )
