"""Implausible batches that wait for a person, each with what it would have done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from app.domain import Kind
from app.stores.tables import Hold

HELD, RELEASED, DISMISSED, APPLIED, PASSED = "held", "released", "dismissed", "applied", "passed"

_table: Any = Hold.__table__  # type: ignore[attr-defined]


def hold(
    conn: Connection,
    *,
    connection: str,
    kind: Kind,
    run_id: int | None,
    reason: str,
    summary: Mapping[str, Any],
    now: datetime,
) -> int:
    """Put a batch in front of a person; returns the hold's id.

    A kind that is held already keeps its one hold, which then tells of the latest batch.
    """
    values = {
        "connection": connection,
        "kind": kind,
        "run_id": run_id,
        "reason": reason,
        "summary": msgspec.json.encode(summary).decode(),
        "state": HELD,
        "held_at": now,
    }
    told = {name: values[name] for name in ("run_id", "reason", "summary", "held_at")}
    known = update(_table).where(*_open(connection, kind)).values(told).returning(_table.c.id)
    held_id: int | None = conn.execute(known).scalar()
    if held_id is None:
        held_id = conn.execute(insert(_table).values(values).returning(_table.c.id)).scalar_one()
    return held_id


def take_release(conn: Connection, *, connection: str, kind: Kind) -> bool:
    """Whether a person released the kind's hold; it is used up by asking, so only one batch passes."""
    wanted = update(_table).where(*_open(connection, kind), _table.c.state == RELEASED)
    return conn.execute(wanted.values(state=APPLIED)).rowcount == 1


def pass_(conn: Connection, *, connection: str, kind: Kind) -> None:
    """Close the kind's open hold, if there is one: a plausible read came after all."""
    conn.execute(update(_table).where(*_open(connection, kind)).values(state=PASSED))


def open_(conn: Connection, connection: str | None = None) -> list[dict[str, Any]]:
    """Holds that still wait, oldest first; ``summary`` is what was given to ``hold``."""
    wanted = select(_table).where(_table.c.state == HELD).order_by(_table.c.id)
    if connection is not None:
        wanted = wanted.where(_table.c.connection == connection)
    return [{**row, "summary": msgspec.json.decode(row["summary"])} for row in conn.execute(wanted).mappings()]


def close(conn: Connection, hold_id: int, state: str) -> bool:
    """Release or dismiss a hold; ``False`` if it does not wait (any more), so that two people cannot both decide."""
    if state not in (RELEASED, DISMISSED):
        raise ValueError(f"a hold is closed as {RELEASED!r} or {DISMISSED!r}, not {state!r}")
    wanted = update(_table).where(_table.c.id == hold_id, _table.c.state == HELD)
    return conn.execute(wanted.values(state=state)).rowcount == 1


def _open(connection: str, kind: Kind) -> tuple[Any, ...]:
    waits = _table.c.state.in_((HELD, RELEASED))
    return (_table.c.connection == connection, _table.c.kind == kind, waits)
