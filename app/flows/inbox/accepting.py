"""Stores deliveries in one commit; one that cannot be written refuses none of its neighbours."""

from collections.abc import Sequence
from typing import NamedTuple

from app.errors import DatabaseFault
from app.stores.inbox import inbox
from app.stores.inbox.inbox import Accepted, Arrival
from app.stores.sql.engine import Database


class Unwritable(NamedTuple):
    """A delivery that cannot be written, and why."""

    arrival: Arrival
    error: Exception


def accept(database: Database, arrivals: Sequence[Arrival]) -> tuple[Accepted, list[Unwritable]]:
    """Store deliveries and owe their items (``stores.inbox.accept``) in one commit; what cannot be written is found by
    halving. Raises ``DatabaseFault``, which no delivery causes."""
    try:
        with database.once() as conn:
            return inbox.accept(conn, arrivals), []
    except DatabaseFault:
        raise
    except Exception as error:
        if not arrivals:
            raise
        if len(arrivals) == 1:
            return Accepted(0, 0, []), [Unwritable(arrivals[0], error)]
    half = len(arrivals) // 2
    first, bad = accept(database, arrivals[:half])
    second, more = accept(database, arrivals[half:])
    both = Accepted(first.new + second.new, first.duplicates + second.duplicates, [*first.owed, *second.owed])
    return both, [*bad, *more]
