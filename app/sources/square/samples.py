"""Reads a sample file through the real decoding and mapping; ``samples/manifest.json`` says what each file is."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from app.domain import Delivery, Page, Record
from app.sources.square import mapping, orders, parties, wire
from app.sources.square.counts import counts
from app.sources.square.isolation import id_in, lenient
from app.sources.square.mentions import Known
from app.sources.square.webhook import SquareReceiver


def read(as_: str, raw: bytes) -> Page | Delivery:
    """The records of an answer, or the delivery of a webhook; raises the error of an ``error`` sample."""
    if as_ == "webhook":
        return SquareReceiver("", ()).parse({}, raw)
    readers: Mapping[str, Callable[[bytes], Sequence[Record]]] = {
        "catalog": _catalog,
        "counts": lambda body: counts(wire.decode(body, wire.CountsReply).counts or []),
        "orders": lambda body: [orders.order(one, {}) for one in wire.decode(body, wire.OrdersReply).orders or []],
        "order": _order,
        "locations": _locations,
        "vendors": _vendors,
        "error": _error,
    }
    return Page(records=readers[as_](raw))


def _catalog(body: bytes) -> list[Record]:
    reply = wire.decode(body, wire.CatalogReply)
    things = [*(reply.objects or []), *(reply.related_objects or [])]
    known = Known({id_in(thing): thing for thing in things})
    records: list[Record] = []
    for thing in reply.objects or []:
        records += lenient(thing, partial(mapping.live_listings, known=known))
        records += [mapping.category(thing)] if thing.get("type") == "CATEGORY" else []
    return records


def _order(body: bytes) -> list[Record]:
    order = wire.decode(body, wire.OrderReply).order
    return [orders.order(order, {})] if order else []


def _locations(body: bytes) -> list[Record]:
    return [parties.location(one, 0) for one in wire.decode(body, wire.LocationsReply).locations or []]


def _vendors(body: bytes) -> list[Record]:
    """Handles both forms of answer: a search's list, and bulk-retrieve's answer for each id."""
    by_id = wire.decode(body, wire.VendorsByIdReply).responses or {}
    listed = wire.decode(body, wire.VendorsReply).vendors or []
    return [parties.vendor(one) for one in [*listed, *(answer.vendor for answer in by_id.values() if answer.vendor)]]


def _error(body: bytes) -> list[Record]:
    raise wire.problem_error(wire.decode(body, wire.Reply).errors or [wire.Problem()], "sample")
