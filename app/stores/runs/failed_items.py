"""Items that a run could not sync while their batch went on: why, how often, and whether a later run synced them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, true

from app.domain import Kind, Ref
from app.stores import tables
from app.stores.letters.attempts import Redact, described
from app.stores.sql.matching import Wanted, page_of
from app.stores.sql.statements import Statement, bound_list, storable

_ITEMS = tables.core(tables.FailedItem)


class FailedItem(NamedTuple):
    """One row, as ``tables.FailedItem`` describes it."""

    id: int
    run_id: int | None
    connection: str
    kind: str
    external_id: str
    category: str
    error_type: str
    error: str
    traceback: str
    attempts: int
    failed_at: datetime
    resolved_at: datetime | None


_RECORD = Statement(
    """
    INSERT INTO failed_items (run_id, connection, kind, external_id, category, error_type, error, traceback, attempts,
                              failed_at)
    VALUES (:run_id, :connection, :kind, :external_id, :category, :error_type, :error, :traceback, 1, :now)
    ON CONFLICT (connection, kind, external_id) DO UPDATE
    SET run_id = excluded.run_id, category = excluded.category, error_type = excluded.error_type,
        error = excluded.error, traceback = excluded.traceback, failed_at = excluded.failed_at, resolved_at = NULL,
        attempts = CASE WHEN failed_items.resolved_at IS NULL THEN failed_items.attempts + 1 ELSE 1 END
    """
)
_RESOLVE = Statement(
    """
    UPDATE failed_items SET resolved_at = :now
    WHERE connection = :connection AND kind = :kind AND resolved_at IS NULL AND external_id AMONG :ids
    """
)


def record(
    conn: Connection,
    run_id: int | None,
    connection: str,
    ref: Ref,
    *,
    category: str,
    error: BaseException,
    now: datetime,
    redact: Redact = str,
) -> None:
    """Note that an item failed in a run or (without one) in a poll. An item has one row, which counts its attempts."""
    values = {"run_id": run_id, "connection": connection, "kind": ref.kind.value}
    values["external_id"] = storable(ref.external_id.encode("utf-8", "replace").decode())
    _RECORD.run(conn, {**values, **described(error, redact)._asdict(), "category": category, "now": now})


def resolve(conn: Connection, connection: str, kind: Kind, ids: Sequence[str], now: datetime) -> int:
    """Record that these items are synced now; returns how many had failed before."""
    if not ids:
        return 0
    params = {"connection": connection, "kind": kind.value, "ids": bound_list(conn, list(ids)), "now": now}
    return _RESOLVE.count(conn, params)


def open_refs(conn: Connection, connection: str) -> list[Ref]:
    """The items that failed and are not synced yet, by kind and id."""
    wanted = select(_ITEMS.c.kind, _ITEMS.c.external_id).where(*_open(connection))
    return [Ref(Kind(kind), id) for kind, id in conn.execute(wanted.order_by(_ITEMS.c.kind, _ITEMS.c.external_id))]


def open_ids(conn: Connection, connection: str, kind: Kind, *, run_id: int | None = None) -> set[str]:
    """The external ids of a kind's items that failed (with ``run_id``: last in that run) and are not synced yet."""
    wanted = select(_ITEMS.c.external_id).where(*_open(connection), _ITEMS.c.kind == kind.value)
    wanted = wanted if run_id is None else wanted.where(_ITEMS.c.run_id == run_id)
    return set(conn.execute(wanted).scalars())


class FailedItemsWanted(Wanted, frozen=True, kw_only=True):
    """Which failed items; with ``resolved`` also those that were synced since."""

    run_id: int | None = None
    category: str | None = None
    resolved: bool = False


def page(
    conn: Connection,
    connection: str,
    wanted: FailedItemsWanted = FailedItemsWanted(),  # noqa: B008 - a frozen value
) -> list[FailedItem]:
    """Failed items, newest first."""
    failing = true() if wanted.resolved else _ITEMS.c.resolved_at.is_(None)
    return [FailedItem(**row) for row in conn.execute(page_of(_ITEMS, connection, wanted, failing)).mappings()]


def counts(conn: Connection, connection: str) -> Mapping[str, int]:
    """How many items are failing, by category."""
    wanted = select(_ITEMS.c.category, func.count()).where(*_open(connection)).group_by(_ITEMS.c.category)
    return {row[0]: row[1] for row in conn.execute(wanted)}


def _open(connection: str) -> tuple[Any, ...]:
    return (_ITEMS.c.connection == connection, _ITEMS.c.resolved_at.is_(None))
