"""Implausible batches that wait for a person, each with its rows as they are and as they would become."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import reduce
from operator import xor
from typing import Any, NotRequired, TypedDict, Unpack

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from app.domain import JsonObject, Kind, MissingPolicy, batches
from app.domain.decoding import convert, decode
from app.rules.guard.findings import Finding
from app.stores import tables
from app.stores.catalog import Key
from app.stores.guard import held_rows
from app.stores.guard.held_rows import HeldRow
from app.stores.sql.statements import json_text

KEEPING, HELD, RELEASED, DISMISSED = "keeping", "held", "released", "dismissed"
APPLIED, PASSED, EXPIRED = "applied", "passed", "expired"

_table = tables.core(tables.Hold)
_rows = held_rows.TABLE


class HeldFinding(msgspec.Struct, frozen=True):
    """A rule that held a batch: why, and what it measured."""

    rule: str
    reason: str
    figures: Mapping[str, int | float]


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is or was held (``tables.Hold`` explains the columns)."""

    id: int
    connection: str
    kind: Kind
    run_id: int | None
    reason: str
    summary: JsonObject
    state: str
    held_at: datetime
    findings: list[HeldFinding]
    digest: int
    rows: int
    absent: MissingPolicy | None
    read_at: datetime | None
    believed_until: datetime | None

    @property
    def began_at(self) -> datetime:
        """When the read began that was held."""
        return self.read_at or self.held_at

    def began_at_of(self, row: HeldRow) -> datetime:
        """When the read began that showed one of its rows."""
        return row.read_at or self.began_at


class NewHold(TypedDict):
    """The columns of a new hold; ``rows``, ``digest`` and the others that may be left out are those of an empty one."""

    connection: str
    kind: Kind
    run_id: int | None
    reason: str
    summary: JsonObject | Mapping[str, int]
    findings: NotRequired[Sequence[Finding]]
    rows: NotRequired[int]
    digest: NotRequired[int]
    absent: NotRequired[MissingPolicy | None]
    read_at: NotRequired[datetime | None]


def hold(conn: Connection, *, now: datetime, waits: bool = True, **new: Unpack[NewHold]) -> int:
    """Add a hold; returns its id. Another hold of the kind that waits expires: now, or, unless it ``waits`` already, when
    all of its rows are stored (``mark_waiting``)."""
    if waits:
        expire(conn, lock_open(conn, new["connection"], new["kind"]))
    findings = [HeldFinding(one.rule, one.reason, one.figures) for one in new.get("findings", ())]
    texts = {"summary": json_text(new["summary"]), "findings": json_text(findings)}
    values = {**new, **texts, "state": HELD if waits else KEEPING, "held_at": now}
    return int(conn.execute(insert(_table).values(values).returning(_table.c.id)).scalar_one())


def mark_waiting(conn: Connection, hold_id: int, replaced: Hold | None) -> None:
    """All rows of the hold are stored: let it wait for a person, in place of the one that waits (``lock_open``).

    The database refuses it (``IntegrityError``) if another waits by now: nobody has seen to the rows of that one."""
    expire(conn, replaced)
    conn.execute(update(_table).where(_table.c.id == hold_id, _table.c.state == KEEPING).values(state=HELD))


def waiting(conn: Connection, *, connection: str, kind: Kind, digest: int) -> int | None:
    """The id of the hold that waits with exactly this batch and all of its rows; ``None`` if there is none."""
    count = select(func.count()).where(_rows.c.hold_id == _table.c.id).scalar_subquery()
    same = (_table.c.state == HELD, _table.c.digest == digest, _table.c.rows == count, _table.c.rows > 0)
    return conn.execute(select(_table.c.id).where(*_of(connection, kind), *same)).scalar()


def lock_waiting(conn: Connection, hold_id: int) -> Hold | None:
    """The hold with this id if it waits: it does until this transaction ends, and no other changes its rows."""
    query = select(_table).where(_table.c.id == hold_id, _table.c.state == HELD).with_for_update()
    row = conn.execute(query).mappings().one_or_none()
    return None if row is None else _hold(row)


def lock_open(conn: Connection, connection: str, kind: Kind) -> Hold | None:
    """The hold of a kind that waits, locked as by ``lock_waiting``."""
    while (hold := open_of(conn, connection, kind)) is not None:
        if (locked := lock_waiting(conn, hold.id)) is not None:
            return locked
    return None


def is_waiting(conn: Connection, hold_id: int) -> bool:
    """Whether a hold still waits; only then were all of its rows there to read."""
    return bool(conn.execute(select(_table.c.id).where(_table.c.id == hold_id, _table.c.state == HELD)).scalar())


def drop_rows(conn: Connection, hold: Hold, digests: Mapping[int, int]) -> None:
    """Remove rows from a hold that waits (``lock_waiting``); ``digests`` are their parts of its digest, by id. A hold
    without rows expires."""
    gone = [
        id
        for some in batches(sorted(digests), 500)
        for id in conn.execute(delete(_rows).where(_rows.c.id.in_(some)).returning(_rows.c.id)).scalars()
    ]
    left, digest = hold.rows - len(gone), reduce(xor, (digests[id] for id in gone), hold.digest)
    state = HELD if left > 0 else EXPIRED
    conn.execute(update(_table).where(_table.c.id == hold.id).values(rows=left, digest=digest, state=state))


def move_rows(conn: Connection, hold: Hold, to: int, digests: Mapping[int, int]) -> None:
    """Move rows of a hold that waits (``lock_waiting``) to one that is still being stored; each keeps the time of its read.
    ``digests`` are their parts of the digest, by id."""
    began = func.coalesce(_rows.c.read_at, hold.began_at)
    for some in batches(sorted(digests), 500):
        conn.execute(update(_rows).where(_rows.c.id.in_(some)).values(hold_id=to, read_at=began))
    taker = select(_table.c.rows, _table.c.digest).where(_table.c.id == to)
    rows, digest = conn.execute(taker).one()
    values = {"rows": rows + len(digests), "digest": reduce(xor, digests.values(), digest)}
    conn.execute(update(_table).where(_table.c.id == to).values(values))


def forget_rows(conn: Connection, hold_id: int, keys: Sequence[Key]) -> None:
    """Remove these rows of a hold, if it has expired."""
    expired = select(_table.c.id).where(_table.c.id == hold_id, _table.c.state == EXPIRED)
    names = held_rows.names(keys)
    items = {key[0] for key in keys}
    its = (_rows.c.hold_id.in_(expired), _rows.c.item.in_(items), _rows.c.row_key.in_(names))
    conn.execute(delete(_rows).where(*its))


def is_kept(conn: Connection, hold_id: int) -> bool:
    """Whether all rows of a hold are stored: a process may have died while it stored them."""
    count = select(func.count()).where(_rows.c.hold_id == hold_id).scalar_subquery()
    return bool(conn.execute(select(_table.c.id).where(_table.c.id == hold_id, _table.c.rows == count)).scalar())


def ending_items(conn: Connection, connection: str, kind: Kind) -> set[str]:
    """The items whose end waits for a person."""
    ended = _rows.c.record.is_(None) | _rows.c.record.contains('"deleted":true')
    ends = (_rows.c.hold_id == _table.c.id, ended, _table.c.state == HELD)
    return set(conn.execute(select(_rows.c.item).where(*_of(connection, kind), *ends)).scalars())


def get(conn: Connection, hold_id: int) -> Hold | None:
    """The hold with this id, in any state."""
    row = conn.execute(select(_table).where(_table.c.id == hold_id)).mappings().one_or_none()
    return None if row is None else _hold(row)


def open_(conn: Connection, connection: str | None = None) -> list[Hold]:
    """Holds that still wait, oldest first."""
    query = select(_table).where(_table.c.state == HELD).order_by(_table.c.id)
    if connection is not None:
        query = query.where(_table.c.connection == connection)
    return [_hold(row) for row in conn.execute(query).mappings()]


def open_of(conn: Connection, connection: str, kind: Kind) -> Hold | None:
    """The hold of a kind that still waits."""
    return next((hold for hold in open_(conn, connection) if hold.kind == kind), None)


def released(conn: Connection, connection: str, kind: Kind) -> int | None:
    """The id of the hold whose rows are to be written."""
    return conn.execute(select(_table.c.id).where(*_of(connection, kind), _table.c.state == RELEASED)).scalar()


def mark_applied(conn: Connection, hold_id: int) -> None:
    """Record that the rows of a released hold are written."""
    conn.execute(update(_table).where(_table.c.id == hold_id, _table.c.state == RELEASED).values(state=APPLIED))


def believed_rules(conn: Connection, connection: str, kind: Kind, now: datetime) -> set[str]:
    """The rules that a person has switched off for this kind, for now."""
    query = select(_table.c.findings).where(*_of(connection, kind), _table.c.believed_until > now)
    findings = (decode(text, list[HeldFinding]) for text in conn.execute(query).scalars())
    return {finding.rule for some in findings for finding in some}


def confirm(conn: Connection, hold_id: int, keys: Collection[Key] | None, read_at: datetime) -> bool:
    """A read that began at ``read_at`` showed rows of a hold (``None``: all of them) just as they wait. ``False`` if the
    hold no longer waits."""
    hold = lock_waiting(conn, hold_id)
    if hold is None:
        return False
    if keys is None:
        if hold.began_at < read_at:
            conn.execute(update(_table).where(_table.c.id == hold_id).values(read_at=read_at))
        conn.execute(update(_rows).where(_rows.c.hold_id == hold_id, _rows.c.read_at < read_at).values(read_at=None))
        return True
    older = update(_rows).where(_rows.c.hold_id == hold_id, func.coalesce(_rows.c.read_at, hold.began_at) < read_at)
    for some in batches(sorted(keys), 500):
        names, items = held_rows.names(some), {key[0] for key in some}
        conn.execute(older.where(_rows.c.item.in_(items), _rows.c.row_key.in_(names)).values(read_at=read_at))
    return True


def pass_(conn: Connection, *, connection: str, kind: Kind, read_at: datetime) -> list[str]:
    """Close the hold that waits, if there is one: a plausible read came after all. A hold of a read that began later
    than that read (``read_at``) goes on waiting. Returns the items of rows that a later read showed as they waited: they
    must be read again."""
    older = _table.c.read_at.is_(None) | (_table.c.read_at <= read_at)
    its = (*_of(connection, kind), _table.c.state == HELD, older)
    passed = conn.execute(update(_table).where(*its).values(state=PASSED).returning(_table.c.id)).scalars().all()
    later = select(_rows.c.item).where(_rows.c.hold_id.in_(passed), _rows.c.read_at > read_at).distinct()
    return sorted(conn.execute(later).scalars()) if passed else []


def expire(conn: Connection, hold: Hold | None) -> None:
    """Close a hold that waits, if there is one (``lock_open``): a later read gave another batch."""
    if hold is not None:
        conn.execute(update(_table).where(_table.c.id == hold.id, _table.c.state == HELD).values(state=EXPIRED))


def close(conn: Connection, hold_id: int, state: str, *, believed_until: datetime | None = None) -> bool:
    """Release or dismiss a hold; ``False`` if it no longer waits, so that two people cannot both decide."""
    if state not in (RELEASED, DISMISSED):
        raise ValueError(f"a hold is closed as {RELEASED!r} or {DISMISSED!r}, not {state!r}")
    query = update(_table).where(_table.c.id == hold_id, _table.c.state == HELD)
    return conn.execute(query.values(state=state, believed_until=believed_until)).rowcount == 1


def _of(connection: str, kind: Kind) -> tuple[Any, ...]:
    return (_table.c.connection == connection, _table.c.kind == kind)


def _hold(row: Any) -> Hold:
    decode = msgspec.json.decode
    return convert({**row, "summary": decode(row["summary"]), "findings": decode(row["findings"])}, Hold)
