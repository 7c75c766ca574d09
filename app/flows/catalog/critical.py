"""What is out of stock or low: which listings is remembered for a minute, how many are left is looked up now."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from app.domain import batches
from app.flows.catalog.cache import age_of, remembered
from app.flows.deps import Deps, source_of
from app.stores.catalog import critical
from app.stores.catalog.critical import LOW, OUT, CriticalItem

FRESH = timedelta(minutes=1)
"""How old the list may be before the next who asks has it found anew."""


def page(
    deps: Deps, connection: str, *, limit: int, after: str | None = None, anew: bool = False
) -> tuple[dict[str, Any], list[CriticalItem]]:
    """The counts with their age, and at most ``limit`` critical listings behind the id ``after``, by their id.

    The first is ``{"counts": {"out", "low"}, "found_at", "age_seconds", "took_ms"}``. What is critical no more is left
    out of the listings at once; what became so is among them within a minute, or now with ``anew``. Raises
    ``NotFound`` for an unknown connection.
    """
    source_of(deps, connection)
    fresh = timedelta() if anew else FRESH
    found = remembered(deps, connection, "critical", lambda conn: _found(conn, connection), fresh=fresh)
    ids = found.answer["ids"]
    items: list[CriticalItem] = []
    with deps.database.read() as conn:
        for some in batches(ids[bisect_right(ids, after or "") :], max(limit, 1)):
            items += critical.among(conn, connection, some)
            if len(items) >= limit:
                break
    return {"counts": found.answer["counts"], **age_of(deps, found)}, items[:limit]


def _found(conn: Connection, connection: str) -> dict[str, Any]:
    states = critical.states(conn, connection)
    counts = Counter(state for _, state in states)
    return {"counts": {OUT: counts[OUT], LOW: counts[LOW]}, "ids": sorted(id for id, _ in states)}
