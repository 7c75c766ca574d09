"""A vendor's account in memory for the experiment on truth: it changes, answers late or not at all, and shows
everything."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from app.domain import (
    Answer,
    BadRecord,
    Kind,
    Listing,
    MissingPolicy,
    Page,
    Record,
    Ref,
    Scope,
    StockCount,
    key_of,
    micros,
)
from app.errors import TallyhookError
from app.prove.memory import MemorySource

PLACE, STATE = "L1", "on_hand"


class Shop(MemorySource):
    """``Source`` of products, which have times of change, and of stock, which has none and is read whole.

    ``mapping`` names the version of our mapping: another one reads some names differently. ``stale`` are products
    that everything except a complete read sees in an older state. ``poison`` makes a fetch fail, ``unreadable`` a
    record of a read, ``refuses`` the read of a kind. ``at_read`` is called when a complete read begins.
    """

    kinds: tuple[Kind, ...] = (Kind.PRODUCT, Kind.STOCK)
    whole_kinds: tuple[Kind, ...] = (Kind.STOCK,)

    def __init__(self) -> None:
        self.mapping = "1"
        self.products: dict[str, Listing] = {}
        self.counts: dict[str, StockCount] = {}
        self.stale: dict[str, Listing] = {}
        self.poison: dict[str, TallyhookError] = {}
        self.unreadable: set[str] = set()
        self.refuses: dict[Kind, TallyhookError] = {}
        self.at_read: Callable[[Kind], None] = lambda kind: None
        self._calls = 0

    def put(self, id: str, at: datetime, **fields: object) -> None:
        """Add or change a product at a moment."""
        known = self.products.get(id, Listing(external_id=id, sku=f"SKU-{id}", name=f"Product {id}"))
        self.products[id] = msgspec.structs.replace(known, version=micros(at), modified_at=at, **fields)

    def put_silently(self, id: str, **fields: object) -> None:
        """Change a product without a trace in its times."""
        self.products[id] = msgspec.structs.replace(self.products[id], **fields)

    def count(self, id: str, quantity: int) -> None:
        """Set the quantity on hand."""
        self.counts[id] = StockCount(id, PLACE, STATE, Decimal(quantity), version=1)

    def shown(self, kind: Kind) -> list[Record]:
        """The truth, as the present mapping reads it."""
        if kind is Kind.STOCK:
            return list(self.counts.values())
        return [self._mapped(one) for one in self.products.values()]

    def batch_size(self, kind: Kind) -> int:
        """One."""
        return 1

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        """What the vendor shows of some items."""
        self._calls += 1
        for ref in refs:
            if ref.external_id in self.poison:
                raise self.poison[ref.external_id]
        held: Mapping[str, Record] = self._seen() if refs[0].kind is Kind.PRODUCT else self.counts
        records = [held[ref.external_id] for ref in refs if ref.external_id in held]
        return Answer(records, [ref for ref in refs if ref.external_id not in held])

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        """Records with a version since the watermark."""
        if kind in self.refuses:
            raise self.refuses[kind]
        if since is None or kind in self.whole_kinds:
            yield from self.full(kind)
            return
        self._calls += 1
        news = [one for one in self._seen().values() if one.version >= int(since)]
        ids = {one.external_id for one in news}
        bad = [one for one in self._unreadable(kind) if one.external_id in ids]
        yield Page(records=[one for one in news if one.external_id not in self.unreadable], failed=bad)
        yield Page(watermark=str(max([int(since), *(one.version for one in news)])))

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        """All of a kind."""
        if kind in self.refuses:
            raise self.refuses[kind]
        self._calls += 1
        self.at_read(kind)
        bad = self._unreadable(kind)
        ids = {one.external_id for one in bad}
        shown = [one for one in self.shown(kind) if key_of(one)[0] not in ids]
        yield Page(records=shown, failed=bad)
        if kind is Kind.STOCK:
            yield Page(complete=Scope(kind, absent=MissingPolicy.ZERO))
        else:
            mark = max((one.version for one in self.products.values()), default=0)
            yield Page(watermark=str(mark), complete=Scope(kind))

    def window(
        self, kind: Kind, since: datetime | None, until: datetime | None, resume: str | None = None
    ) -> Iterator[Page]:
        """Everything: no test asks for less."""
        yield Page(records=self.shown(kind))

    def check(self) -> None:
        """Always returns: the account answers."""

    def calls(self) -> int:
        """Calls made so far."""
        return self._calls

    def _unreadable(self, kind: Kind) -> list[BadRecord]:
        ids = sorted(self.unreadable) if kind is Kind.PRODUCT else ()
        return [BadRecord(kind, id, "price is x") for id in ids]

    def _seen(self) -> dict[str, Listing]:
        shown = {**self.products, **{id: old for id, old in self.stale.items() if id in self.products}}
        return {id: self._mapped(one) for id, one in shown.items()}

    def _mapped(self, one: Listing) -> Listing:
        is_other = self.mapping != "1" and one.external_id.endswith("7")
        return msgspec.structs.replace(one, description=f"mapping {self.mapping}") if is_other else one
