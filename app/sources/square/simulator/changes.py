"""The simulated log of inventory changes: everything that moved a count. The changes of a count add up to it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from app.sources.square.simulator.clock import trimmed

Json = dict[str, Any]
Spot = tuple[int, str]
"""Place of a location, and a state."""

UNTRACKED = frozenset({"NONE", "SOLD", "UNLINKED_RETURN", "WASTE"})
"""States without counts, from which or to which goods go."""

TRANSFERS_UNTIL = "2026-07-15"
"""From this version on a transfer is an adjustment, and an adjustment names two locations."""


class Change(NamedTuple):
    """An adjustment from one spot to another, or a stock take (without ``origin``); times in microseconds."""

    number: int
    ware: int
    origin: Spot | None
    target: Spot
    quantity: Decimal
    stamp: int
    occurred: int
    order_id: str = ""
    money: int = 0  # minor units, for what was sold

    @property
    def id(self) -> str:
        """The change's id; numbers of the opening are below zero."""
        return f"INVCHG{self.number + 10**12:013d}"

    def type_at(self, version: str) -> str:
        """The type in a version of the API."""
        if self.origin is None:
            return "PHYSICAL_COUNT"
        moved = self.origin[0] != self.target[0]
        return "TRANSFER" if moved and version < TRANSFERS_UNTIL else "ADJUSTMENT"

    def spots(self) -> Iterator[Spot]:
        """The spots that it concerns."""
        yield from [self.target] if self.origin is None else [self.origin, self.target]


def change_json(change: Change, variation_id: str, location_ids: list[str], version: str) -> Json:
    """A change as the API shows it."""
    common = {
        "id": change.id,
        "catalog_object_id": variation_id,
        "catalog_object_type": "ITEM_VARIATION",
        "quantity": format(change.quantity, "f"),
        "occurred_at": trimmed(change.occurred),
        "created_at": trimmed(change.stamp),
        "source": {"product": "SQUARE_POS", "name": "Point of Sale"},
    }
    kind = change.type_at(version)
    return {"type": kind, kind.lower(): {**common, **_where(change, kind, location_ids, version)}}


def _where(change: Change, kind: str, location_ids: list[str], version: str) -> Json:
    if change.origin is None:
        return {"state": change.target[1], "location_id": location_ids[change.target[0]]}
    (here, before), (there, after) = change.origin, change.target
    places = _from_to(here, there, location_ids)
    if kind == "TRANSFER":
        return {"state": after, **places}
    sold = {"total_price_money": {"amount": change.money, "currency": "USD"}} if after == "SOLD" else {}
    return {
        **(places if version >= TRANSFERS_UNTIL else {"location_id": location_ids[there]}),
        "from_state": before,
        "to_state": after,
        "reason_id": {"type": reason(change)},
        **sold,
        **({"transaction_id": change.order_id} if change.order_id else {}),
    }


def reason(change: Change) -> str:
    """The reason of a change in Square's words; RECOUNT for a stock take."""
    if change.origin is None:
        return "RECOUNT"
    (here, before), (there, _) = change.origin, change.target
    if here != there:
        return "TRANSFER"
    if before == "UNLINKED_RETURN":
        return "RETURNED"
    return "SALE" if before == "IN_STOCK" else "RECEIVED"


def _from_to(here: int, there: int, location_ids: list[str]) -> Json:
    return {"from_location_id": location_ids[here], "to_location_id": location_ids[there]}
