"""Reads single records, and maps whatever was read with the account's own names."""

from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import quote

from app.domain import SKU_PREFIX, Kind, Record, Ref
from app.sources.finale import mapping, orders
from app.sources.finale.client import KEYS, Client
from app.sources.finale.columnar import Band
from app.sources.finale.customization import Customization
from app.sources.finale.isolation import ReadRows, readable
from app.sources.finale.mapping import Terms
from app.sources.finale.options import Options

COLLECTIONS = {
    Kind.PRODUCT: "product",
    Kind.STOCK: "inventoryitem",
    Kind.ORDER: "order",
    Kind.LOCATION: "facility",
    Kind.VENDOR: "partygroup",
}


class Items:
    """The records of one account, of every kind except stock."""

    def __init__(self, client: Client, options: Options, now: Callable[[], datetime]) -> None:
        self._client = client
        self._options = options
        self._now = now
        self._names = Customization(client.customization)

    def one(self, ref: Ref) -> ReadRows[Record]:
        """The records of an item, by its id or, for products, by ``sku:X``; nothing if it is gone."""
        began = self._now()
        if ref.external_id.startswith(SKU_PREFIX):
            sku = ref.external_id.removeprefix(SKU_PREFIX)
            return self._by_sku(sku, began) if ref.kind is Kind.PRODUCT else ReadRows([], [])
        band = self._client.record(COLLECTIONS[ref.kind], ref.external_id)
        return ReadRows([], []) if band is None else self.records(ref.kind, band, began)

    def records(self, kind: Kind, band: Band, began: datetime) -> ReadRows[Record]:
        """The records of a band, and its unreadable rows."""
        terms = self.terms(band) if kind is Kind.PRODUCT else Terms(currency=self._options.currency)
        return readable(kind, KEYS[COLLECTIONS[kind]], band, lambda part: mapped(kind, part, terms, began))

    def terms(self, band: Band) -> Terms:
        """How to read a band. The account's names are read outside the reading of rows, so that an error there blames
        no row."""
        categories = self._names.categories() if band.has_any((mapping.USER_CATEGORY,)) else {}
        return Terms(self._names.price_list(self._options.price_list), self._options.currency, categories)

    def forget_names(self) -> None:
        """Read the account's names again when needed, as they may have changed."""
        self._names.forget()

    def _by_sku(self, sku: str, began: datetime) -> ReadRows[Record]:
        """Filters by SKU, because the URL of many products does not end in it.

        Where the filter finds nothing the URL is tried: in collections beyond the vendor's cap filters overlook
        records.
        """
        bands = self._client.collection("product", {"productId": (sku, sku)})
        if not bands:
            band = self._client.record("product", quote(sku, safe=""))
            bands = [] if band is None else [band]
        results = [self.records(Kind.PRODUCT, band, began) for band in bands]
        listings = [listing for each in results for listing in each.records if getattr(listing, "sku", None) == sku]
        return ReadRows(listings, [bad for each in results for bad in each.bad])


def mapped(kind: Kind, band: Band, terms: Terms, began: datetime) -> Sequence[Record]:
    """The records of a band of any kind except stock; ``began`` is the version of a record without a time."""
    if kind is Kind.PRODUCT:
        return mapping.products(band, terms, began)
    if kind is Kind.ORDER:
        return orders.orders(band, terms, began)
    if kind is Kind.LOCATION:
        return mapping.locations(band, began)
    return mapping.vendors(band, began)
