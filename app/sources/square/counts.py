"""Square's inventory counts as our records; pure."""

from collections.abc import Iterable
from functools import lru_cache

import msgspec

from app.domain import ON_HAND, ON_ORDER, RESERVED, StockCount, micros, to_json
from app.sources.square.catalog_wire import Id, Json, rest, typed
from app.sources.values import amount_of, moment

STATES = {"IN_STOCK": ON_HAND, "RESERVED_FOR_SALE": RESERVED, "ORDERED_FROM_VENDOR": ON_ORDER}
_COUNT = frozenset({"catalog_object_id", "location_id", "state", "quantity", "calculated_at"})
_USUAL = _COUNT | {"catalog_object_type"}


class Count(msgspec.Struct):
    """The fields of a count; a missing ``state`` (documentation of 2020) is IN_STOCK."""

    catalog_object_id: Id
    location_id: Id
    quantity: str | int | float
    calculated_at: str
    state: str | None = None


def counts(rows: Iterable[Json]) -> list[StockCount]:
    """A count for each row. Absent rows mean nothing."""
    return [count(row) for row in rows]


def count(row: Json) -> StockCount:
    """The count of one row; raises ``Unmappable``, also where it does not say what is counted and where: it would become
    a row of its own, which no later count replaces."""
    read = typed(row, Count)
    calculated_at = moment(read.calculated_at, "calculated_at")
    return StockCount(
        listing_id=read.catalog_object_id,
        location_id=read.location_id,
        state=state_of(read.state or "IN_STOCK"),
        quantity=amount_of(read.quantity, "quantity"),
        extra=_extra(row),
        version=micros(calculated_at) if calculated_at else 0,
        modified_at=calculated_at,
    )


@lru_cache(maxsize=64)
def state_of(state: str) -> str:
    """Our word for a state; states that we have no word for keep their own, in lower case."""
    return STATES.get(state, state.lower())


def _extra(row: Json) -> str | None:
    if row.keys() <= _USUAL and row.get("catalog_object_type") == "ITEM_VARIATION":
        return None
    return to_json(rest(row, _COUNT))
