"""Holds: keep an implausible batch as it is, and do with it what a person decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection

from app.domain import Absent, Cause, Change, ItemKey, Kind
from app.errors import Refused
from app.flows.access import audit
from app.flows.deps import Deps
from app.flows.holds.plausible import learn_released
from app.stores import catalog, owed
from app.stores.catalog import Key
from app.stores.catalog import catalog_sql as sql
from app.stores.catalog.spool import Spool
from app.stores.guard import Batch, holds
from app.stores.guard.holds import HeldRow

AT_ONCE = 500
"""Rows per commit: acknowledgements wait for the writer before them."""

SHOWN = 20
"""Sample rows that are shown of a hold."""

LONGEST_BELIEF = timedelta(days=90)

log = structlog.get_logger()


def release(deps: Deps, hold_id: int, *, believed_until: datetime | None = None) -> dict[str, Any]:
    """Write exactly the rows of a hold, but for those that somebody newer wrote since; returns the hold.

    With ``believed_until`` the rules that spoke do not hold this kind until then. Raises ``Refused`` for a hold that does
    not wait, whose rows are not all kept yet, and for a belief of more than 90 days or into the past.
    """
    now = deps.now()
    if believed_until is not None and not now < believed_until <= now + LONGEST_BELIEF:
        raise Refused(f"it can be believed until a day to come, at most {LONGEST_BELIEF.days} days from now")
    show(deps, hold_id)
    with deps.database.begin() as conn:
        if not holds.is_kept(conn, hold_id):
            raise Refused(f"hold {hold_id} has not all of its rows yet")
        _decide(deps, conn, hold_id, holds.RELEASED, believed_until)
        hold = holds.get(conn, hold_id)
    assert hold is not None  # noqa: S101 (it was just decided)
    learn_released(deps, hold["connection"], held_batch(deps, hold))
    _write(deps, hold)
    return show(deps, hold_id)


def dismiss(deps: Deps, hold_id: int) -> dict[str, Any]:
    """Keep our rows; a later implausible read is held again. Raises ``Refused`` for a hold that does not wait."""
    with deps.database.begin() as conn:
        _decide(deps, conn, hold_id, holds.DISMISSED, None)
    return show(deps, hold_id)


def show(deps: Deps, hold_id: int) -> dict[str, Any]:
    """A hold with some of its rows, before and after. Raises ``Refused`` if there is none that the caller may see."""
    with deps.database.read() as conn:
        hold = holds.get(conn, hold_id)
        if hold is None or not deps.who.sees(hold["connection"]):
            raise Refused(f"there is no hold {hold_id}")
        sample = holds.rows(conn, hold_id, Kind(hold["kind"]), limit=SHOWN)
    return {**hold, "sample": [_shown(Kind(hold["kind"]), row) for row in sample]}


def list_(deps: Deps, connection: str | None = None) -> list[dict[str, Any]]:
    """The holds that wait, oldest first, of what the caller may see."""
    with deps.database.read() as conn:
        return [hold for hold in holds.open_(conn, connection) if deps.who.sees(hold["connection"])]


def finish_released(deps: Deps, connection: str, kind: Kind) -> None:
    """Go on with a release whose process died: before the kind is read anew."""
    with deps.database.read() as conn:
        hold_id = holds.released(conn, connection, kind)
        hold = None if hold_id is None else holds.get(conn, hold_id)
    if hold is not None:
        _write(deps, hold)


def _decide(deps: Deps, conn: Connection, hold_id: int, state: str, believed_until: datetime | None) -> None:
    hold = holds.get(conn, hold_id)
    if hold is None or not deps.who.sees(hold["connection"]):
        raise Refused(f"there is no open hold {hold_id}")
    if not holds.close(conn, hold_id, state, believed_until=believed_until):
        raise Refused(f"there is no open hold {hold_id}; it is {hold['state']}")
    after: dict[str, Any] = {"state": state}
    if believed_until is not None:
        after["believed_until"] = believed_until.isoformat()
    audit.note(
        deps,
        conn,
        f"holds.{state}",
        f"hold {hold_id}",
        connection=hold["connection"],
        before={"state": holds.HELD, "rows": hold["rows"], "reason": hold["reason"]},
        after=after,
    )


def _write(deps: Deps, hold: dict[str, Any]) -> None:
    kind = Kind(hold["kind"])
    for some in _all_rows(deps, hold["id"], kind):
        deps.queue.enqueue(deps.database.transact(partial(_write_some, deps, hold, kind, some)))
    with deps.database.begin() as conn:
        holds.applied(conn, hold["id"])


def _write_some(
    deps: Deps, hold: dict[str, Any], kind: Kind, some: Sequence[HeldRow], conn: Connection
) -> list[ItemKey]:
    """Write rows as of when they were read; what somebody newer wrote since is owed a fresh look."""
    connection, now, own = hold["connection"], deps.now(), hold["read_at"] or hold["held_at"]
    absent, left = Absent(hold["absent"] or Absent.DELETED), set[Key]()
    for read_at in sorted({row.read_at or own for row in some}):
        rows = [row for row in some if (row.read_at or own) == read_at]
        records = [row.record for row in rows if row.record is not None]
        if records:
            applied = catalog.apply(conn, connection, records, read_at=read_at, now=now, report_refused=True)
            left.update(key for _, key in applied.refused)
        ended = sorted(row.key for row in rows if row.record is None)
        closed = catalog.close_rows(conn, kind, absent, connection, ended, read_at=read_at, now=now)
        left.update(set(ended) - set(closed) - catalog.fenced(conn, connection, kind, ended))
    changes = [Change(kind, id) for id in sorted({key[0] for key in left})]
    return owed.owe(conn, connection, changes, Cause.LOOKUP, now)


def _all_rows(deps: Deps, hold_id: int, kind: Kind) -> Iterator[list[HeldRow]]:
    after = 0
    while True:
        with deps.database.read() as conn:
            some = holds.rows(conn, hold_id, kind, after=after, limit=AT_ONCE)
        if not some:
            return
        yield some
        after = some[-1].id


def held_batch(deps: Deps, hold: dict[str, Any], but: Set[Key] = frozenset()) -> Batch:
    """The rows of a hold as the guard sees them, without some."""
    kind = Kind(hold["kind"])
    records, ends = Spool(kind), list[Key]()
    for row in (row for some in _all_rows(deps, hold["id"], kind) for row in some):
        if row.key in but:
            continue
        if row.record is None:
            ends.append(row.key)
        else:
            records.add("", row.record, 0)
    return Batch(kind, (records,), ends, zero=hold["absent"] == Absent.ZERO, asked=True)


def _shown(kind: Kind, row: HeldRow) -> dict[str, Any]:
    """Of a row that is new only what it says beside its key."""
    names = sql.shape(kind).keys
    is_new = names[0] in row.fields
    fields = {
        name: [before, after]
        for name, (before, after) in row.fields.items()
        if not is_new or (name not in names and after not in (None, False))
    }
    return {"key": "/".join(row.key), "new": is_new, "ends": row.record is None, "fields": fields}
