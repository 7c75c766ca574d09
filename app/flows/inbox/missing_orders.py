"""Orders that never arrived: per day, how many the source has, how many we hold, and which are missing."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date

from app.domain import Kind, batches
from app.flows.deps import Deps, source_of
from app.rules.calls.lanes import Lane, lane
from app.stores import catalog


@dataclass(frozen=True)
class Day:
    """One business day: the number of orders at the source and here, and the ids of those that are ``missing`` here."""

    day: date
    there: int
    here: int
    missing: list[str] = field(default_factory=list)


def find_missing_orders(deps: Deps, connection: str, first: date, last: date) -> list[Day]:
    """Every day from ``first`` to ``last`` on which the source has orders, oldest first.

    Costs the source's cheapest listing of these days; raises what the source raises.
    """
    source_of(deps, connection)
    there: dict[date, list[str]] = defaultdict(list)
    with lane(Lane.BULK):
        for day, external_id in deps.bulk_sources[connection].order_ids(first, last):
            there[day].append(external_id)
    held = _held(deps, connection, [id for ids in there.values() for id in ids])
    return [_day(day, there[day], held) for day in sorted(there)]


def _held(deps: Deps, connection: str, ids: list[str]) -> set[str]:
    held: set[str] = set()
    with deps.database.read() as conn:
        for batch in batches(ids, 5_000):
            held.update(catalog.versions(conn, connection, Kind.ORDER, batch))
    return held


def _day(day: date, ids: list[str], held: set[str]) -> Day:
    missing = sorted(set(ids) - held)
    return Day(day, there=len(set(ids)), here=len(set(ids)) - len(missing), missing=missing)
