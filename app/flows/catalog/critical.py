"""Listings that are out of stock or low: the list is cached for a minute, the quantities are read now."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from app.domain import batches
from app.flows.catalog.cache import Age, age_of, cached
from app.flows.deps import Deps, source_of
from app.stores.catalog import critical
from app.stores.catalog.critical import LOW, OUT, CriticalItem

FRESH = timedelta(minutes=1)
"""How old the cached list may be."""


class Found(msgspec.Struct, frozen=True):
    """How many listings are ``out`` or ``low``, and the ids of all, sorted."""

    counts: dict[str, int]
    ids: list[str]


class Critical(NamedTuple):
    """The counts with their age, and some of the listings, by id."""

    counts: dict[str, int]
    age: Age
    items: Sequence[CriticalItem]


def page(deps: Deps, connection: str, *, limit: int, after: str | None = None, anew: bool = False) -> Critical:
    """The counts, and at most ``limit`` critical listings after the id ``after``.

    Listings that are no longer critical are left out at once; new ones appear within a minute, or now with ``anew``. Raises
    ``NotFound`` for an unknown connection.
    """
    source_of(deps, connection)
    fresh = timedelta() if anew else FRESH
    answer = cached(deps, connection, "critical", lambda conn: _find(conn, connection), Found, fresh=fresh)
    found, items = answer.answer, list[CriticalItem]()
    with deps.database.read() as conn:
        for some in batches(found.ids[bisect_right(found.ids, after or "") :], max(limit, 1)):
            items += critical.among(conn, connection, some)
            if len(items) >= limit:
                break
    return Critical(found.counts, age_of(deps, answer), items[:limit])


def _find(conn: Connection, connection: str) -> Found:
    states = critical.states(conn, connection)
    counts = Counter(state for _, state in states)
    return Found({OUT: counts[OUT], LOW: counts[LOW]}, sorted(id for id, _ in states))
