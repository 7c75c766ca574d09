"""Reads a sample file through the real decoding and mapping; ``samples/manifest.json`` says what each file is."""

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from app.domain import Kind, Page, Record
from app.sources import finale
from app.sources.finale.client import KEYS, refuse_page
from app.sources.finale.columnar import Band, bands, single
from app.sources.finale.customization import Customization
from app.sources.finale.items import COLLECTIONS, mapped
from app.sources.finale.mapping import Terms
from app.sources.finale.stock import Tally

READ_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""When the samples count as read: the version of records without a time of their own."""

FOLDER = Path(finale.__file__).parent / "samples"
_NAMES = Customization((FOLDER / "12_customization.OFFICIAL_DOC.json").read_bytes)
"""The names of the categories in the samples' account."""

_KINDS = {
    "product": Kind.PRODUCT,
    "products": Kind.PRODUCT,
    "stock": Kind.STOCK,
    "order": Kind.ORDER,
    "locations": Kind.LOCATION,
    "vendors": Kind.VENDOR,
}


def read(as_: str, raw: bytes) -> Page:
    """The records of a reply; raises the error of an ``error`` sample."""
    refuse_page("", raw, "a sample")
    kind = _KINDS.get(as_, Kind.PRODUCT)
    if as_ in ("product", "order"):
        return Page(records=_records(kind, [single(raw)]))
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        return Page(records=_records(kind, bands(file, KEYS[COLLECTIONS[kind]])))


def _records(kind: Kind, rows: list[Band]) -> Sequence[Record]:
    if kind is not Kind.STOCK:
        terms = Terms(categories=_NAMES.categories())
        return [record for band in rows for record in mapped(kind, band, terms, READ_AT)]
    tally = Tally()
    for band in rows:
        tally.add(band)
    return sorted(tally.counts(READ_AT), key=lambda count: (count.listing_id, count.location_id, count.state))
