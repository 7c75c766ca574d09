"""A tiny copy of a Finale account in memory: newer wins, complete reads settle what they did not show."""

import json
from collections.abc import Iterable
from typing import Any

from app.domain import KINDS, Kind, MissingPolicy, Record, Ref, Scope, key_of
from app.sources.base import Source

PRODUCT_FIELDS = (
    "external_id",
    "sku",
    "name",
    "active",
    "category",
    "category_path",
    "price_minor",
    "cost_minor",
    "currency",
    "barcode",
    "supplier_id",
    "lead_time_days",
)
ORDER_FIELDS = (
    "external_id",
    "type",
    "status",
    "location_id",
    "party_id",
    "channel",
    "ordered_on",
    "subtotal_minor",
    "discount_minor",
    "tax_minor",
    "service_charge_minor",
    "tip_minor",
    "total_minor",
    "net_minor",
)
FIELDS = {
    Kind.ORDER: ORDER_FIELDS,
    Kind.PRODUCT: PRODUCT_FIELDS,
    Kind.LOCATION: ("external_id", "parent_id", "name"),
    Kind.VENDOR: ("external_id", "name"),
}


class Copy:
    """Rows by kind and key."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.rows: dict[Kind, dict[tuple[str, ...], Record]] = {kind: {} for kind in Kind}
        self.watermarks: dict[Kind, str | None] = {}

    def full(self, *kinds: Kind) -> None:
        """Complete reads."""
        for kind in kinds:
            self._take(kind, self._source.full(kind))

    def delta(self, *kinds: Kind) -> None:
        """What changed since the last read."""
        for kind in kinds:
            self._take(kind, self._source.delta(kind, self.watermarks.get(kind)))

    def _take(self, kind: Kind, pages: Iterable[Any]) -> None:
        shown: set[tuple[str, ...]] = set()
        for page in pages:
            self.apply(page.records)
            shown |= {key_of(record) for record in page.records}
            for change in page.changes:
                self.apply(self._source.fetch([Ref(change.kind, change.external_id)]).records)
            if page.complete is not None:
                self._settle(page.complete, shown)
            self.watermarks[kind] = page.watermark or self.watermarks.get(kind)

    def apply(self, records: Iterable[Record]) -> None:
        """Newer wins, the later of equals too."""
        for record in records:
            rows, key = self.rows[KINDS[type(record)]], key_of(record)
            if key not in rows or rows[key].version <= record.version:
                rows[key] = record

    def _settle(self, scope: Scope, shown: set[tuple[str, ...]]) -> None:
        assert scope.absent is (MissingPolicy.ZERO if scope.kind is Kind.STOCK else MissingPolicy.DELETED)
        for key in self.rows[scope.kind].keys() - shown:
            del self.rows[scope.kind][key]

    def told(self, kind: Kind) -> list[dict[str, Any]]:
        """The rows in the words of the simulator's truth."""
        return sorted((_told(kind, row) for row in self.rows[kind].values()), key=repr)


def _told(kind: Kind, row: Any) -> dict[str, Any]:
    if kind is Kind.STOCK:
        return {
            "listing_id": row.listing_id,
            "location_id": row.location_id,
            "state": row.state,
            "quantity": str(row.quantity),
        }
    if kind is Kind.ORDER:
        names = ("kind", "listing_id", "quantity", "unit_price", "total_minor")
        lines = [[line.get(name) for name in names] for line in json.loads(row.lines or "[]")]
        return {**{name: getattr(row, name) for name in FIELDS[kind]}, "lines": lines}
    return {name: getattr(row, name) for name in FIELDS[kind]}


def in_order(truth: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Truth rows in the order of ``told``."""
    return sorted(truth, key=repr)
