"""A shop in memory for the experiment on truth: it changes, answers late or not at all, and shows everything."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from app.domain import Answer, BadRecord, Kind, Listing, Page, Ref, StockCount, micros
from app.errors import TallyhookError
from app.prove.memory import MemorySource

PLACE, STATE = "L1", "on_hand"


class Shop(MemorySource):
    """``Source`` of products, which have times of change, and of stock, which has none and is read whole.

    ``mapping`` names the version of our mapping: another one reads some names differently. ``stale`` are products
    that everything except a complete read sees in an older state. ``poison`` makes a fetch fail, ``unreadable`` a
    product of a read, ``refuses`` the read of a kind. ``at_read`` is called when a complete read begins.
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
        self.at_read: Callable[[], None] = lambda: None

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

    def shown_in_full(self, kind: Kind) -> Sequence[Any]:
        """The truth, as the present mapping reads it."""
        return self._mapped(self.products) if kind is Kind.PRODUCT else list(self.counts.values())

    def shown_in_delta(self, kind: Kind) -> Sequence[Any]:
        """The same with products in their older state where there is one."""
        stale = {id: old for id, old in self.stale.items() if id in self.products}
        return self._mapped({**self.products, **stale}) if kind is Kind.PRODUCT else self.shown_in_full(kind)

    def page(self, records: Sequence[Any]) -> Page:
        """The records that can be read, and those that cannot."""
        bad = [one for one in records if isinstance(one, Listing) and one.external_id in self.unreadable]
        failed = [BadRecord(Kind.PRODUCT, one.external_id, "price is x") for one in bad]
        return Page(records=[one for one in records if one not in bad], failed=failed)

    def batch_size(self, kind: Kind) -> int:
        """One."""
        return 1

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        """What the vendor answers about single items; raises what ``poison`` has for one of them."""
        for ref in refs:
            if ref.external_id in self.poison:
                raise self.poison[ref.external_id]
        return super().fetch(refs)

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        """The first one is a complete read. Raises what ``refuses`` has for the kind."""
        if kind in self.refuses:
            raise self.refuses[kind]
        yield from self.full(kind) if since is None else super().delta(kind, since)

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        """Raises what ``refuses`` has for the kind."""
        if kind in self.refuses:
            raise self.refuses[kind]
        self.at_read()
        yield from super().full(kind, resume)

    def _mapped(self, products: dict[str, Listing]) -> list[Listing]:
        """Products as the present mapping reads them."""
        other = {"description": f"mapping {self.mapping}"} if self.mapping != "1" else {}
        return [
            msgspec.structs.replace(one, **other) if one.external_id.endswith("7") else one
            for one in products.values()
        ]
