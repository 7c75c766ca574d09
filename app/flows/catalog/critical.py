"""Listings that are out of stock or low: the list is cached for a minute, the quantities are read now."""

from bisect import bisect_right
from collections import Counter
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from app.domain import batches
from app.flows.catalog.cache import age_of, cached
from app.flows.deps import Deps, source_of
from app.stores.catalog import critical
from app.stores.catalog.critical import LOW, OUT, CriticalItem

FRESH = timedelta(minutes=1)
"""How old the cached list may be."""


def page(
    deps: Deps, connection: str, *, limit: int, after: str | None = None, anew: bool = False
) -> tuple[dict[str, Any], list[CriticalItem]]:
    """The counts with their age, and at most ``limit`` critical listings after the id ``after``, by id.

    The first is ``{"counts": {"out", "low"}, "found_at", "age_seconds", "took_ms"}``. Listings that are no longer critical
    are left out at once; new ones appear within a minute, or now with ``anew``. Raises ``NotFound`` for an unknown
    connection.
    """
    source_of(deps, connection)
    fresh = timedelta() if anew else FRESH
    summary = cached(deps, connection, "critical", lambda conn: _summary(conn, connection), fresh=fresh)
    ids = summary.answer["ids"]
    items: list[CriticalItem] = []
    with deps.database.read() as conn:
        for some in batches(ids[bisect_right(ids, after or "") :], max(limit, 1)):
            items += critical.among(conn, connection, some)
            if len(items) >= limit:
                break
    return {"counts": summary.answer["counts"], **age_of(deps, summary)}, items[:limit]


def _summary(conn: Connection, connection: str) -> dict[str, Any]:
    states = critical.states(conn, connection)
    counts = Counter(state for _, state in states)
    return {"counts": {OUT: counts[OUT], LOW: counts[LOW]}, "ids": sorted(id for id, _ in states)}
