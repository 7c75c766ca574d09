"""The simulated orders: those of the API with versions and events, those of the point of sale without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from typing import Any

from app.sources.square.simulator.clock import Clock, order_text

Json = dict[str, Any]
DAY_MS = 86_400_000


@dataclass
class Line:
    """Some of one variation, at a price."""

    variation_id: str
    name: str
    variation_name: str
    quantity: str
    price: int

    def total(self) -> int:
        """Minor units."""
        return round(float(self.quantity) * self.price)


@dataclass
class Order:
    """A sale; times in milliseconds. ``version`` is ``None`` for the point of sale."""

    id: str
    location: int
    state: str
    created: int
    updated: int
    version: int | None
    lines: list[Line] = field(default_factory=list)
    shown_from: int = 0
    closed: int | None = None

    def total(self) -> int:
        """Minor units."""
        return sum(line.total() for line in self.lines)


class Orders:
    """All orders of one account by id."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self._seed = seed
        self._clock = clock
        self.by_id: dict[str, Order] = {}

    def add(self, location: int, lines: list[Line], *, api: bool, age_ms: int = 0, lag: float = 0.0) -> Order:
        """A new order: open when made through the API, completed when sold at the till.

        ``age_ms``: how long ago it was made (an offline sale arrives late); ``lag``: seconds until it can be read.
        """
        now = self._clock.now_ms()
        order = Order(
            id=self._new_id(),
            location=location,
            state="OPEN" if api else "COMPLETED",
            created=now - age_ms,
            updated=now,
            version=1 if api else None,
            lines=lines,
            shown_from=now + int(lag * 1000),
            closed=None if api else now,
        )
        self.by_id[order.id] = order
        return order

    def add_old(self, location: int, lines: list[Line], dice: Random) -> Order:
        """An order of the last month."""
        order = self.add(location, lines, api=dice.random() < 0.4)
        order.created = order.updated = order.updated - dice.randrange(3_600_000, 30 * DAY_MS)
        order.closed = order.updated if order.closed else None
        return order

    def update(self, order: Order, state: str | None = None) -> None:
        """Another version of an order."""
        order.updated = max(order.updated + 1, self._clock.now_ms())
        order.state = state or order.state
        order.closed = order.updated if order.state in ("COMPLETED", "CANCELED") else None
        if order.version is not None:
            order.version += 1

    def open_ones(self) -> list[Order]:
        """Orders that can still change."""
        return [order for order in self.by_id.values() if order.state == "OPEN"]

    def readable(self, order_id: str, empty: bool) -> Order | None:
        """The order, unless its lag hides it altogether (``empty``: hides only its lines, see ``order_json``)."""
        order = self.by_id.get(order_id)
        hidden = order is not None and self.is_lagging(order) and not empty
        return None if hidden else order

    def is_lagging(self, order: Order) -> bool:
        """Whether reads do not show the order completely yet."""
        return self._clock.now_ms() < order.shown_from

    def search(
        self, locations: Sequence[int], field_name: str, start: int, end: int, descending: bool
    ) -> list[Order]:
        """Orders of some locations whose time lies between two ends, both inclusive, sorted by it."""
        found = [
            order
            for order in self.by_id.values()
            if order.location in locations and start <= (getattr(order, field_name) or -1) <= end
        ]
        return sorted(found, key=lambda order: (getattr(order, field_name), order.id), reverse=descending)

    def order_json(self, order: Order, location_id: str) -> Json:
        """An order as the API shows it; nulls are left out."""
        lines = [] if self.is_lagging(order) else [line_json(order, line) for line in order.lines]
        return {
            "id": order.id,
            "location_id": location_id,
            "source": {"name": "Point of Sale" if order.version is None else "Web shop"},
            **({"line_items": lines} if lines else {}),
            "created_at": order_text(order.created),
            "updated_at": order_text(order.updated),
            **({"closed_at": order_text(order.closed)} if order.closed else {}),
            "state": order.state,
            **({"version": order.version} if order.version is not None else {}),
            "total_money": {"amount": order.total(), "currency": "USD"},
            "total_tax_money": {"amount": 0, "currency": "USD"},
        }

    def _new_id(self) -> str:
        number = len(self.by_id)
        return "o" + blake2b(f"{self._seed}/{number}".encode(), digest_size=14).hexdigest()


def line_json(order: Order, line: Line) -> Json:
    """A line item."""
    return {
        "uid": f"{order.id[:8]}-{order.lines.index(line)}",
        "catalog_object_id": line.variation_id,
        "name": line.name,
        "variation_name": line.variation_name,
        "quantity": line.quantity,
        "item_type": "ITEM",
        "base_price_money": {"amount": line.price, "currency": "USD"},
        "total_money": {"amount": line.total(), "currency": "USD"},
    }


def summary(order: Order, location_id: str) -> Json:
    """What an order event says of an order."""
    return {
        "order_id": order.id,
        "version": order.version,
        "location_id": location_id,
        "state": order.state,
        "created_at": order_text(order.created),
        **({"updated_at": order_text(order.updated)} if (order.version or 0) > 1 else {}),
    }


def entries(orders: Sequence[Order], location_ids: Sequence[str]) -> Iterator[Json]:
    """The short form of a search with ``return_entries``."""
    for order in orders:
        version = {"version": order.version} if order.version is not None else {}
        yield {"order_id": order.id, "location_id": location_ids[order.location], **version}
