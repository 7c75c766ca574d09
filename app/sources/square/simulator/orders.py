"""The simulated orders: those of the API with versions and events, those of the point of sale without."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from random import Random

from app.sources.simulating.answers import Json
from app.sources.square.simulator.bill import Line, Order, bring_back, charge, contents, sums
from app.sources.square.simulator.clock import Clock, order_text

DAY_MS = 86_400_000
NULLABLE = ("reference_id", "customer_id", "ticket_name", "metadata")  # null now and then; left out otherwise
FULFILLMENT_TYPES = ("PICKUP", "SHIPMENT", "DELIVERY")


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
        charge(order, len(self.by_id))
        self.by_id[order.id] = order
        return order

    def add_old(self, location: int, lines: list[Line], dice: Random) -> Order:
        """An order of the last month; some brought something back."""
        number = len(self.by_id)
        order = self.add(location, lines, api=dice.random() < 0.4)
        bring_back(order, number)
        order.created = order.updated = order.updated - dice.randrange(3_600_000, 30 * DAY_MS)
        order.closed = order.updated if order.closed else None
        return order

    def update(self, order: Order, state: str | None = None) -> None:
        """Another version of an order."""
        self.save(order)
        order.state = state or order.state
        order.closed = order.updated if order.state in ("COMPLETED", "CANCELED") else None

    def save(self, order: Order) -> None:
        """The same order, saved again."""
        order.updated = max(order.updated + 1, self._clock.now_ms())
        if order.version is not None:
            order.version += 1

    def readable(self, order_id: str, empty: bool) -> Order | None:
        """The order, unless its lag hides it altogether (``empty``: hides only its lines, see ``order_json``)."""
        order = self.by_id.get(order_id)
        hidden = order is not None and self.is_lagging(order) and not empty
        return None if hidden else order

    def is_lagging(self, order: Order) -> bool:
        """Whether reads do not show the order completely yet."""
        return self._clock.now_ms() < order.shown_from

    def order_json(self, order: Order, location_id: str) -> Json:
        """An order as the API shows it; most nulls are left out."""
        nulls = dict.fromkeys(NULLABLE) if int(order.id[1:5], 16) % 7 == 3 else {}
        return {
            "id": order.id,
            "location_id": location_id,
            **nulls,
            "source": {"name": source_name(order)},
            **({} if self.is_lagging(order) else contents(order, location_id)),
            **({"fulfillments": parts} if (parts := fulfillments(order)) else {}),
            "created_at": order_text(order.created),
            "updated_at": order_text(order.updated),
            **({"closed_at": order_text(order.closed)} if order.closed else {}),
            "state": order.state,
            **({"version": order.version} if order.version is not None else {}),
            **sums(order),
        }

    def _new_id(self) -> str:
        number = len(self.by_id)
        return "o" + blake2b(f"{self._seed}/{number}".encode(), digest_size=14).hexdigest()


def source_name(order: Order) -> str:
    """The application that an order was made with."""
    return "Point of Sale" if order.version is None else "Web shop"


def payer(order: Order) -> str:
    """The customer that a tender names, empty for none."""
    return order.customer if order.total() > 0 and order.closed else ""


def fulfillments(order: Order) -> list[Json]:
    """How the goods of a web order come to the buyer; at the till they are just taken along."""
    if order.version is None:
        return []
    type_ = FULFILLMENT_TYPES[int(order.id[1:5], 16) % len(FULFILLMENT_TYPES)]
    state = order.state if order.state in ("COMPLETED", "CANCELED") else "PROPOSED"
    return [{"uid": order.id[:8], "type": type_, "state": state}]


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
