"""Removes old rows of small tables, where each row must be decoded to tell its age."""

from datetime import datetime
from itertools import chain

import msgspec
from sqlalchemy import Connection, delete, select

from app.stores import tables

_BUDGETS = tables.core(tables.BudgetUse)


def remove_unused_budgets(conn: Connection, before: datetime) -> int:
    """Remove the windows of call budgets that nobody has used since ``before``; returns how many."""
    removed = 0
    for row in conn.execute(select(_BUDGETS)).all():
        if _last_call(row.taken) < before.timestamp():
            same = (getattr(_BUDGETS.c, name) == getattr(row, name) for name in ("connection", "name", "taken"))
            removed += int(conn.execute(delete(_BUDGETS).where(*same)).rowcount)
    return removed


def _last_call(taken: str) -> float:
    """Epoch seconds; 0 for an empty window."""
    stored = msgspec.json.decode(taken, type=list[list[float] | float])
    return max(chain.from_iterable(one if isinstance(one, list) else [one] for one in stored), default=0.0)
