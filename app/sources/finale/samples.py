"""Reads a sample file through the real decoding and mapping; ``samples/manifest.json`` says what each file is."""

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from app.domain import Page, Record
from app.sources.finale import mapping, orders
from app.sources.finale.client import KEYS, refuse_page
from app.sources.finale.columnar import Band, bands, single
from app.sources.finale.customization import Customization
from app.sources.finale.mapping import Terms
from app.sources.finale.stock import Tally

READ_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""When the samples count as read: the version of records without a time of their own."""

_NAMES = Customization((Path(__file__).parent / "samples" / "12_customization.OFFICIAL_DOC.json").read_bytes)
"""The names of the categories in the samples' account."""

_LISTS = {"products": "product", "stock": "inventoryitem", "locations": "facility", "vendors": "partygroup"}


def read(as_: str, raw: bytes) -> Page:
    """The records of a reply; raises the error of an ``error`` sample."""
    refuse_page("", raw, "a sample")
    if as_ in ("product", "order"):
        return Page(records=_records(as_, [single(raw)]))
    collection = _LISTS.get(as_, "product")
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        return Page(records=_records(as_, bands(file, KEYS[collection])))


def _records(as_: str, rows: list[Band]) -> Sequence[Record]:
    if as_ == "stock":
        return _stock(rows)
    return [record for band in rows for record in _of_band(as_, band)]


def _of_band(as_: str, band: Band) -> Sequence[Record]:
    if as_ == "order":
        return orders.orders(band, Terms(), READ_AT)
    if as_ == "locations":
        return mapping.locations(band, READ_AT)
    if as_ == "vendors":
        return mapping.vendors(band, READ_AT)
    return mapping.products(band, Terms(categories=_NAMES.categories()), READ_AT)


def _stock(rows: list[Band]) -> Sequence[Record]:
    tally = Tally()
    for band in rows:
        tally.add(band)
    return sorted(tally.counts(READ_AT), key=lambda count: (count.listing_id, count.location_id, count.state))
