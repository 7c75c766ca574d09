"""Stored deliveries, what became of their items, and outages as typed rows."""

from datetime import datetime

import msgspec

from app.domain import ItemKey, Kind


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """What lists and single deliveries have in common; the columns are explained at ``tables.InboxEvent``."""

    id: int
    connection: str
    event_id: str
    type: str
    received_at: datetime
    occurred_at: datetime | None
    verdict: str
    items: list[tuple[str, str]]

    @property
    def keys(self) -> list[ItemKey]:
        """The items that the delivery names."""
        return [ItemKey(self.connection, Kind(kind), external_id) for kind, external_id in self.items]


class ListedDelivery(DeliveryRow, frozen=True, kw_only=True):
    """A delivery in a list; ``size`` is that of its body in bytes."""

    size: int


class StoredDelivery(DeliveryRow, frozen=True, kw_only=True):
    """A delivery as it was received."""

    headers: dict[str, str]
    body: bytes


class Waiting(msgspec.Struct, frozen=True):
    """An item that is owed: failed attempts so far, and when the next one is due."""

    attempts: int
    next_at: datetime
    cause: str


class DiedAs(msgspec.Struct, frozen=True):
    """The letter that an item died as."""

    id: int
    state: str


class LaterDelivery(msgspec.Struct, frozen=True):
    """A later delivery that names the same item."""

    id: int
    event_id: str
    received_at: datetime


class ItemOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one item of a delivery.

    ``outcome``, ``settled_at`` and ``changes`` are those of the settlement that covers it, ``None`` while there is none;
    ``ms`` is the time from receipt to settlement. ``later`` are the first deliveries that name
    it on the day that followed, if somebody looked for them.
    """

    kind: str
    external_id: str
    outcome: str | None
    settled_at: datetime | None
    changes: int | None
    waits: Waiting | None
    letter: DiedAs | None
    ms: int | None
    later: list[LaterDelivery] = []


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which nothing was received though something should have been; the columns are those of ``tables.Outage``."""

    id: int
    connection: str
    reason: str
    state: str
    began_at: datetime
    ended_at: datetime | None
    expected: int
    missed: int
    replayed: int
    note: str | None
    found_at: datetime
    tried_at: datetime | None
    closed_at: datetime | None
