"""Implausible batches that wait for a person, each with what it would have done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from app.domain import Kind
from app.stores.tables import Hold

HELD, RELEASED, DISMISSED = "held", "released", "dismissed"

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
    """Put a batch in front of a person; returns the hold's id."""
    values = {
        "connection": connection,
        "kind": kind,
        "run_id": run_id,
        "reason": reason,
        "summary": msgspec.json.encode(summary).decode(),
        "state": HELD,
        "held_at": now,
    }
    held_id: int = conn.execute(insert(_table).values(values).returning(_table.c.id)).scalar_one()
    return held_id


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
