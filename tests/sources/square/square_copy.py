"""A tiny copy of a Square account in memory: applies records by version and tombstones what a complete read lacks."""

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from app.domain import KINDS, Change, Kind, Listing, Mentioned, Page, Record, Ref, Scope, StockCount, batches, key_of
from app.sources.square.source import SquareSource


class Copy:
    """Rows by kind and key; the newer version wins, equal versions replace."""

    def __init__(self, source: SquareSource) -> None:
        self._source = source
        self.rows: dict[Kind, dict[tuple[str, ...], Record]] = {kind: {} for kind in Kind}
        self.watermarks: dict[Kind, str | None] = {}

    def read_full(self, kind: Kind) -> None:
        """A complete read."""
        self._take(kind, self._source.full(kind))

    def read_delta(self, kind: Kind) -> None:
        """What changed since the last read."""
        self._take(kind, self._source.delta(kind, self.watermarks.get(kind)))

    def fetch(self, changes: Sequence[Change]) -> None:
        """Fetch the items that may have changed, and believe the answer."""
        kinds = {change.kind for change in changes}
        for kind in kinds:
            ids = {change.external_id for change in changes if change.kind is kind}
            for batch in batches(sorted(ids), self._source.batch_size(kind)):
                answer = self._source.fetch([Ref(kind, external_id) for external_id in batch])
                self.apply(answer.records)
                for scope in answer.covers:
                    self._bury(scope, answer.records)

    def apply(self, records: Iterable[Record]) -> None:
        """Newer wins."""
        for record in records:
            rows, key = self.rows[KINDS[type(record)]], key_of(record)
            if key not in rows or rows[key].version <= record.version:
                rows[key] = record

    def live(self, kind: Kind) -> dict[tuple[str, ...], Record]:
        """The rows that are not deleted."""
        return {key: row for key, row in self.rows[kind].items() if not row.deleted}

    def _take(self, kind: Kind, pages: Iterable[Page]) -> None:
        seen: list[Record] = []
        for page in pages:
            self.apply(page.records)
            self.fetch(page.changes)
            self.fetch(self._told_by(page.mentioned))
            seen += page.records
            if page.watermark:
                self.watermarks[kind] = page.watermark
            if page.complete:
                self._bury(page.complete, seen)

    def _told_by(self, mentioned: Sequence[Mentioned]) -> list[Change]:
        """The items of live listings that mention one of these objects."""
        ids = {one.external_id for one in mentioned}
        listings = (row for row in self.live(Kind.PRODUCT).values() if isinstance(row, Listing))
        items = {row.parent_id for row in listings if ids & set(json.loads(row.mentions or "[]"))}
        return [Change(Kind.PRODUCT, item) for item in sorted(filter(None, items))]

    def _bury(self, scope: Scope, seen: Sequence[Record]) -> None:
        shown = {key_of(record) for record in seen}
        for key, row in list(self.rows[scope.kind].items()):
            inside = scope.field is None or getattr(row, scope.field) == scope.value
            if inside and key not in shown:
                self.rows[scope.kind][key] = msgspec.structs.replace(row, deleted=True)


def flat(copy: Copy, kind: Kind, like: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The live rows with the fields that rows of the truth have, sorted as ``ordered`` sorts them."""
    fields = list(like[0]) if like else []
    return ordered([{name: _shown(row, name) for name in fields} for row in copy.live(kind).values()])


def ordered(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in an order that does not depend on how they were read."""
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def _shown(row: Record, name: str) -> Any:
    value = getattr(row, name)
    if name == "lines":
        lines = json.loads(value or "[]")
        names = ("kind", "listing_id", "quantity", "unit_price", "total_minor")
        return [[line.get(name) for name in names] for line in lines]
    return format(value, "f") if isinstance(row, StockCount) and isinstance(value, Decimal) else value
