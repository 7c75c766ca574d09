"""Reads a sample file through the real decoding and mapping; ``samples/manifest.json`` says what each file is."""

from collections.abc import Callable, Mapping, Sequence

from app.domain import Delivery, Page, Record
from app.sources.square import isolation, mapping, orders, parties, wire
from app.sources.square.counts import counts
from app.sources.square.isolation import id_in
from app.sources.square.mentions import Known
from app.sources.square.webhook import SquareReceiver


def read(as_: str, raw: bytes) -> Page | Delivery:
    """The records of an answer, or the delivery of a webhook; raises the error of an ``error`` sample."""
    if as_ == "webhook":
        return SquareReceiver("", ()).parse({}, raw)
    readers: Mapping[str, Callable[[wire.Reply], Sequence[Record]]] = {
        "catalog": _catalog,
        "counts": lambda reply: counts(reply.counts or []),
        "orders": lambda reply: [orders.order(order, {}) for order in reply.orders or []],
        "order": lambda reply: [orders.order(reply.order, {})],
        "locations": lambda reply: [parties.location(location, 0) for location in reply.locations or []],
        "vendors": _vendors,
        "error": _error,
    }
    return Page(records=readers[as_](wire.decode(raw)))


def _catalog(reply: wire.Reply) -> list[Record]:
    things = [*(reply.objects or []), *(reply.related_objects or [])]
    known = Known({id_in(thing): thing for thing in things})
    records: list[Record] = []
    for thing in reply.objects or []:
        records += isolation.listings([thing], known).records
        records += [mapping.category(thing)] if thing.get("type") == "CATEGORY" else []
    return records


def _vendors(reply: wire.Reply) -> list[Record]:
    """Handles both forms of answer: a search's list, and bulk-retrieve's answer for each id."""
    by_id = (answer.vendor for answer in (reply.responses or {}).values() if answer.vendor)
    return [parties.vendor(one) for one in [*(reply.vendors or []), *by_id]]


def _error(reply: wire.Reply) -> list[Record]:
    raise wire.problem_error(reply.errors or [wire.Problem()], "sample")
