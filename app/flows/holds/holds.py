"""Holds: shows the batches that wait for a person, and does with them what the person decides."""

from collections.abc import Callable, Iterator, Sequence, Set
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import msgspec
import structlog
from sqlalchemy import Connection

from app.domain import Cause, Change, ItemKey, Kind, MissingPolicy
from app.errors import Conflict, InvalidRequest, NotFound
from app.flows.access import audit
from app.flows.deps import Deps
from app.flows.holds.plausible import learn_released
from app.stores import catalog, owed
from app.stores.catalog import Key
from app.stores.catalog import catalog_sql as sql
from app.stores.catalog.spool import Spool
from app.stores.guard import Batch, held_rows, holds
from app.stores.guard.held_rows import HeldRow
from app.stores.guard.holds import Hold

BATCH_SIZE = 500
"""Rows per commit: acknowledgements wait for the writer before them."""

SAMPLE_SIZE = 20
"""Rows of a hold that people see."""

LONGEST_BELIEF = timedelta(days=90)

Result = TypeVar("Result")

log = structlog.get_logger()


class SampleRow(msgspec.Struct, frozen=True):
    """A row of a hold for people: ``fields`` are ``{field: [before, after]}``, for a ``new`` row only the fields besides its
    key; ``ends`` says that the row would be deleted or become zero."""

    key: str
    new: bool
    ends: bool
    fields: dict[str, list[Any]]


class HoldView(Hold, frozen=True, kw_only=True):
    """A hold with some of its rows."""

    sample: list[SampleRow]


def release(deps: Deps, hold_id: int, *, believed_until: datetime | None = None) -> HoldView:
    """Write exactly the rows of a hold, except those for which something newer was written since; returns the hold.

    Until ``believed_until`` the rules that objected do not hold this kind again. Raises ``Conflict`` for a hold that does
    not wait or whose rows are not all stored yet, and for a moment that has passed or is more than 90 days away.
    """
    now = deps.now()
    if believed_until is not None and not now < believed_until <= now + LONGEST_BELIEF:
        raise InvalidRequest(f"the day must be in the future, at most {LONGEST_BELIEF.days} days from now")
    show(deps, hold_id)
    with deps.database.begin() as conn:
        if not holds.is_kept(conn, hold_id):
            raise Conflict(f"hold {hold_id} has not all of its rows yet")
        hold = _decide(deps, conn, hold_id, holds.RELEASED, believed_until)
    learn_released(deps, hold.connection, held_batch(deps, hold))
    _write(deps, hold)
    return show(deps, hold_id)


def dismiss(deps: Deps, hold_id: int) -> HoldView:
    """Keep our rows; a later implausible read is held again. Raises ``Conflict`` for a hold that does not wait."""
    with deps.database.begin() as conn:
        _decide(deps, conn, hold_id, holds.DISMISSED, None)
    return show(deps, hold_id)


def show(deps: Deps, hold_id: int) -> HoldView:
    """A hold with some of its rows, before and after. Raises ``NotFound`` if there is none that the caller may see."""
    with deps.database.read() as conn:
        hold = holds.get(conn, hold_id)
        if hold is None or not deps.principal.can_see(hold.connection):
            raise NotFound(f"there is no hold {hold_id}", "hold")
        rows = held_rows.page(conn, hold_id, hold.kind, limit=SAMPLE_SIZE)
    return HoldView(**msgspec.structs.asdict(hold), sample=[_sample_row(hold.kind, row) for row in rows])


def list_(deps: Deps, connection: str | None = None) -> list[Hold]:
    """The holds that wait and that the caller may see, oldest first."""
    with deps.database.read() as conn:
        return [hold for hold in holds.open_(conn, connection) if deps.principal.can_see(hold.connection)]


def finish_released(deps: Deps, connection: str, kind: Kind) -> None:
    """Complete a release whose process died; to be called before the kind is read again."""
    with deps.database.read() as conn:
        hold_id = holds.released(conn, connection, kind)
        hold = None if hold_id is None else holds.get(conn, hold_id)
    if hold is not None:
        _write(deps, hold)


def _decide(deps: Deps, conn: Connection, hold_id: int, state: str, believed_until: datetime | None) -> Hold:
    """The hold as it was until now. Raises ``NotFound`` and ``Conflict``."""
    hold = holds.get(conn, hold_id)
    if hold is None or not deps.principal.can_see(hold.connection):
        raise NotFound(f"there is no open hold {hold_id}", "hold")
    if not holds.close(conn, hold_id, state, believed_until=believed_until):
        raise Conflict(f"there is no open hold {hold_id}; it is {hold.state}")
    until = {} if believed_until is None else {"believed_until": believed_until.isoformat()}
    audit.note(
        deps,
        conn,
        f"holds.{state}",
        f"hold {hold_id}",
        connection=hold.connection,
        before={"state": holds.HELD, "rows": hold.rows, "reason": hold.reason},
        after={"state": state, **until},
    )
    return hold


def _write(deps: Deps, hold: Hold) -> None:
    for rows in _all_rows(deps, hold):
        deps.queue.enqueue(deps.database.transact(partial(_write_rows, deps, hold, rows)))
    with deps.database.begin() as conn:
        holds.mark_applied(conn, hold.id)


def _write_rows(deps: Deps, hold: Hold, batch: Sequence[HeldRow], conn: Connection) -> list[ItemKey]:
    """Write rows as of when they were read: deletions as concluded when they were held, so that an item that a read has
    shown since then stays. Owe the items of those for which something newer was written since."""
    connection, kind, now = hold.connection, hold.kind, deps.now()
    absent, left = hold.absent or MissingPolicy.DELETED, set[Key]()
    for read_at in sorted({hold.began_at_of(row) for row in batch}):
        rows = [row for row in batch if hold.began_at_of(row) == read_at]
        records = [row.record for row in rows if row.record is not None]
        if records:
            applied = catalog.apply(conn, connection, records, read_at=read_at, now=now, by=f"hold {hold.id}")
            left.update(key for _, key in applied.refused)
        ended = sorted(row.key for row in rows if row.record is None)
        closed = catalog.close_rows(
            conn,
            kind,
            absent,
            connection,
            ended,
            read_at=read_at,
            now=hold.held_at,
            present=now,
            by=f"hold {hold.id}",
        )
        left.update(set(ended) - set(closed) - catalog.fenced(conn, connection, kind, ended))
    changes = [Change(kind, id) for id in sorted({key[0] for key in left})]
    return owed.owe(conn, connection, changes, Cause.LOOKUP, now)


def _all_rows(deps: Deps, hold: Hold) -> Iterator[list[HeldRow]]:
    after = 0
    while True:
        with deps.database.read() as conn:
            rows = held_rows.page(conn, hold.id, hold.kind, after=after, limit=BATCH_SIZE)
        if not rows:
            return
        yield rows
        after = rows[-1].id


def held_batch(deps: Deps, hold: Hold, without: Set[Key] = frozenset()) -> Batch:
    """The rows of a hold as the guard sees them, ``without`` some."""
    records, ends = Spool(hold.kind), list[Key]()
    for row in chain.from_iterable(_all_rows(deps, hold)):
        if row.key in without:
            continue
        if row.record is None:
            ends.append(row.key)
        else:
            records.add("", row.record, 0)
    return Batch(hold.kind, (records,), ends, zero=hold.absent is MissingPolicy.ZERO, asked=True)


def waiting_with(
    deps: Deps, connection: str, kind: Kind, read: Callable[[Hold], Result]
) -> tuple[Hold, Result] | None:
    """The hold of a kind that waits, and what ``read`` gives of its rows; ``None`` if there is none. Its rows move on as
    soon as another hold takes its place: then that one is read."""
    while True:
        with deps.database.read() as conn:
            hold = holds.open_of(conn, connection, kind)
        if hold is None:
            return None
        found = read(hold)
        with deps.database.read() as conn:
            if holds.is_waiting(conn, hold.id):
                return hold, found


def _sample_row(kind: Kind, row: HeldRow) -> SampleRow:
    names = sql.shape(kind).keys
    is_new = names[0] in row.fields
    fields = {
        name: [before, after]
        for name, (before, after) in row.fields.items()
        if not is_new or (name not in names and after not in (None, False))
    }
    return SampleRow("/".join(row.key), is_new, row.record is None, fields)
