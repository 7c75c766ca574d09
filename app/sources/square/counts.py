"""Square's inventory counts as our records; pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from app.domain import ON_HAND, ON_ORDER, RESERVED, StockCount, micros, quantity, to_json
from app.errors import Unmappable
from app.sources.square.mapping import Json, rest
from app.sources.square.times import moment

STATES = {"IN_STOCK": ON_HAND, "RESERVED_FOR_SALE": RESERVED, "ORDERED_FROM_VENDOR": ON_ORDER}
_COUNT = frozenset({"catalog_object_id", "location_id", "state", "quantity", "calculated_at"})
_USUAL = _COUNT | {"catalog_object_type"}


def counts(rows: Iterable[Json]) -> list[StockCount]:
    """A count for each row; a missing ``state`` (documentation of 2020) is IN_STOCK. Absent rows mean nothing."""
    return [_count(row) for row in rows]


def _count(row: Json) -> StockCount:
    try:
        calculated_at = moment(row["calculated_at"])
        return StockCount(
            listing_id=row["catalog_object_id"],
            location_id=row["location_id"],
            state=state_of(row.get("state", "IN_STOCK")),
            quantity=quantity(row["quantity"]),
            extra=_extra(row),
            version=micros(calculated_at) if calculated_at else 0,
            modified_at=calculated_at,
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        wanted = "catalog_object_id, location_id, a decimal quantity and calculated_at"
        raise Unmappable(f"an inventory count needs {wanted}: {error!r}") from error


@lru_cache(maxsize=64)
def state_of(state: str) -> str:
    """Our word for a state; states we have no word for stay apart, in lower case."""
    return STATES.get(state, state.lower())


def _extra(row: Json) -> str | None:
    if row.keys() <= _USUAL and row.get("catalog_object_type") == "ITEM_VARIATION":
        return None
    return to_json(rest(row, _COUNT))
