"""Square's record of past inventory changes: stock takes, adjustments and transfers, as changes of our counts."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from app.domain import BadPast, PastChange, PastPage, Spot
from app.errors import Unmappable
from app.sources.shapes import shown
from app.sources.square.catalog_wire import Id, Json, typed
from app.sources.square.client import Client
from app.sources.square.counts import state_of
from app.sources.square.isolation import id_in, lenient
from app.sources.square.times import moment_in, text_of
from app.sources.values import amount_of, moment

TRANSFERS_UNTIL = "2026-07-15"
"""From this API version on a transfer is an adjustment between two locations."""

LATE = timedelta(days=4)
"""Square may filter by when it received a change, at most 72 hours after that occurred."""

NEWER = "SUPPORTED_BY_NEWER_VERSION"


class InventoryChange(msgspec.Struct):
    """The fields of all three types. Versions before 2026-07-15 name one location in an adjustment, none of its two."""

    catalog_object_id: Id
    quantity: str | int | float
    occurred_at: str
    created_at: str | None = None
    state: str | None = None
    from_state: str | None = None
    to_state: str | None = None
    location_id: str | None = None
    from_location_id: str | None = None
    to_location_id: str | None = None


def past_changes(client: Client, listing_ids: Sequence[str], since: datetime) -> Iterator[PastPage]:
    """All changes of these variations since a moment."""
    types = ["PHYSICAL_COUNT", "ADJUSTMENT", *(["TRANSFER"] if client.version < TRANSFERS_UNTIL else [])]
    body: Json = {"catalog_object_ids": list(listing_ids), "types": types, "updated_after": text_of(since - LATE)}
    for reply in client.changes(body):
        yield page_of(reply.changes or [])


def page_of(rows: Sequence[Any]) -> PastPage:
    """The changes of some records; one that cannot be read fails alone."""
    changes: list[PastChange] = []
    failed: list[BadPast] = []
    for row in rows:
        try:
            changes.extend(lenient(row, changes_of))
        except Exception as error:  # whatever a row makes of our code, it is that row's
            inner = _inner(row)
            failed.append(BadPast(id_in(inner, "catalog_object_id"), moment_in(inner, "occurred_at"), str(error)))
    return PastPage(changes, failed)


def changes_of(row: Json) -> list[PastChange]:
    """What a record changed: one count by a stock take, else one from which goods went and one to which they went. Raises
    ``Unmappable``."""
    kind = row.get("type")
    if kind not in ("PHYSICAL_COUNT", "ADJUSTMENT", "TRANSFER"):
        raise Unmappable(f"the type of an inventory change is {shown(kind)}, which we do not know")
    read = typed(_inner(row), InventoryChange, str(kind).lower())
    quantity = amount_of(read.quantity, "quantity")
    if kind == "PHYSICAL_COUNT":
        return [_change(read, _spot(read.location_id, read.state or "IN_STOCK"), quantity, counted=True)]
    origin = _spot(read.from_location_id or read.location_id, read.from_state or read.state)
    target = _spot(read.to_location_id or read.location_id, read.to_state or read.state)
    return [] if origin == target else [_change(read, origin, -quantity), _change(read, target, quantity)]


def _inner(row: Any) -> Any:
    kind = row.get("type") if isinstance(row, dict) else None
    return row.get(kind.lower()) if isinstance(kind, str) else None


def _spot(location_id: str | None, state: str | None) -> Spot:
    if not location_id or not state or state == NEWER:
        raise Unmappable(f"an inventory change has no location ({location_id}) or no state that we know ({state})")
    return Spot(location_id, state_of(state))


def _change(read: InventoryChange, spot: Spot, quantity: Decimal, *, counted: bool = False) -> PastChange:
    occurred = moment(read.occurred_at, "occurred_at")
    if occurred is None:
        raise Unmappable("occurred_at is missing")
    received = moment(read.created_at, "created_at") or occurred
    return PastChange(read.catalog_object_id, spot, quantity, counted, occurred, received)
