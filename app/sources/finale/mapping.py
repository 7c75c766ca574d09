"""Maps decoded Finale rows to our records; pure, and the same for a list row and a single record.

Everything unmapped goes to ``extra``, so no data is lost. Source of the field names: samples/README.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import repeat
from typing import Any, TypeVar

import msgspec

from app.domain import Listing, Location, Vendor, micros
from app.errors import BadAnswer, Unmappable
from app.sources.finale.columnar import Band
from app.sources.finale.wire import (
    MODIFIED,
    REORDER_FIELDS,
    PriceEntry,
    ReorderEntry,
    SupplierEntry,
    entries,
    minor,
    modified_at,
    reorder_entries,
    tail,
    text,
    whole,
)
from app.sources.shapes import shown
from app.sources.values import amount_of, moment

LIST_PRICE = "LIST_PRICE"
USER_CATEGORY = "userCategory"
"""The category in the older spelling: an id, whose name only the account's customization has."""

_R = TypeVar("_R", bound=msgspec.Struct)
_NO_SUPPLIER = SupplierEntry()

ReorderPoint = tuple[Decimal | None, Decimal | None]  # at or below which stock, and how many

_PRODUCT_MAPPED = frozenset(
    (
        "productUrl",
        "productId",
        "internalName",
        "longDescription",
        "category",
        "universalProductCode",
        "priceList",
        "supplierList",
        "reorderGuidelineList",
        "lastUpdatedDate",
    )
)
# Said completely by ``active``; any other status stays visible. Cost and lead time stay because rounding to minor
# units and days could lose something.
_PRODUCT_SILENT = {"statusId": frozenset((b'"PRODUCT_ACTIVE"', b'"PRODUCT_INACTIVE"'))}
_LOCATION_MAPPED = frozenset(("facilityUrl", "facilityName", "parentFacilityUrl", "lastUpdatedDate"))
_LOCATION_SILENT = {"statusId": frozenset((b'"FACILITY_ACTIVE"', b'"FACILITY_INACTIVE"'))}
_VENDOR_MAPPED = frozenset(("partyUrl", "groupName", "lastUpdatedDate"))
_VENDOR_SILENT = {"statusId": frozenset((b'"PARTY_ENABLED"', b'"PARTY_DISABLED"'))}


@dataclass(frozen=True)
class Terms:
    """The account's terms: the price list to use, the currency where Finale names none, its categories by their ids."""

    price_list: str | None = None
    currency: str = "USD"
    categories: Mapping[str, str] = field(default_factory=dict)


def products(band: Band, terms: Terms, began: datetime) -> list[Listing]:
    """The listings of a band; ``began`` (when the read began) is the version of a row without a time of its own.

    Written by column, not by row: at 280,000 rows this saves half the time.
    """
    updated = [moment(at, MODIFIED) for at in band.column(MODIFIED, str | None)]
    prices = [_price(listed, terms) for listed in band.column("priceList", list[PriceEntry | None] | None)]
    currencies = [currency for _, currency in prices]
    mains = [_main_supplier(listed) for listed in band.column("supplierList", list[SupplierEntry | None] | None)]
    reorders = _reorder_points(band)
    categories = _categories(band, terms)
    return _rows_of(
        Listing,
        external_id=[id_of(url, "productUrl") for url in band.column("productUrl", str | None)],
        sku=_text(band, "productId"),
        name=_text(band, "internalName"),
        description=_text(band, "longDescription"),
        active=[status in (None, "", "PRODUCT_ACTIVE") for status in band.column("statusId", str | None)],
        category=categories,
        category_path=categories,
        barcode=_text(band, "universalProductCode"),
        price_minor=[price for price, _ in prices],
        cost_minor=list(map(_cost, band.column("cost", Decimal | None), mains, currencies)),
        currency=currencies,
        prices=band.texts("priceList"),
        supplier_id=[tail(main.supplierPartyUrl) for main in mains],
        supplier_sku=[
            None if main.supplierProductId in (None, "") else str(main.supplierProductId) for main in mains
        ],
        suppliers=band.texts("supplierList"),
        lead_time_days=_lead_times(mains, band),
        reorder_point=[point for point, _ in reorders],
        reorder_quantity=[amount for _, amount in reorders],
        reorders=band.texts("reorderGuidelineList"),
        extra=band.leftovers(_PRODUCT_MAPPED, _PRODUCT_SILENT),
        version=[micros(at or began) for at in updated],
        modified_at=updated,
    )


def _rows_of(record: type[_R], **columns: list[Any]) -> list[_R]:
    """Records from whole columns; a field without a column has its default."""
    fields = msgspec.structs.fields(record)
    return list(map(record, *(columns.get(field.name) or repeat(field.default) for field in fields)))


def _text(band: Band, name: str) -> list[str | None]:
    return [cell or None for cell in band.words(name)]


def _categories(band: Band, terms: Terms) -> list[str | None]:
    named, older = _text(band, "category"), _text(band, USER_CATEGORY)
    return [name or terms.categories.get(id_ or "") for name, id_ in zip(named, older, strict=True)]


def _cost(own: Decimal | None, main: SupplierEntry, currency: str) -> int | None:
    """The product's own cost, else the main supplier's price."""
    return minor(main.price, currency, "the supplier's price") if own is None else minor(own, currency, "cost")


def _lead_times(mains: list[SupplierEntry], band: Band) -> list[int | None]:
    """In days: the main supplier's, else the product's own."""
    own = band.column("leadTime", Decimal | None)
    days = [fallback if main.leadTime is None else main.leadTime for main, fallback in zip(mains, own, strict=True)]
    return [None if lead_time is None else whole(lead_time, "leadTime") for lead_time in days]


def _price(prices: list[PriceEntry | None] | None, terms: Terms) -> tuple[int | None, str]:
    """Minor units and currency of the entry of the wanted list, by default ``LIST_PRICE``.

    No other list stands in for it: it may be for other customers, or have zero prices only.
    """
    wanted = (terms.price_list or LIST_PRICE).casefold()
    priced = (entry for entry in prices or () if entry is not None and entry.price is not None)
    chosen = next((entry for entry in priced if (entry.productPriceTypeId or "").casefold() == wanted), None)
    if chosen is None:
        return None, terms.currency
    currency = chosen.currencyUomId or terms.currency
    try:
        return minor(chosen.price, currency, "price"), currency
    except Unmappable as error:
        raise Unmappable(f"priceList[{(prices or []).index(chosen)}].{error}") from error


def _main_supplier(suppliers: list[SupplierEntry | None] | None) -> SupplierEntry:
    """The supplier marked as main (``10_MAIN_SUPPL``), else the first one, else an empty entry. Blank entries do not
    count."""
    first = _NO_SUPPLIER
    for entry in suppliers or ():
        if entry is None or tail(entry.supplierPartyUrl) is None:
            continue
        if "MAIN" in (entry.supplierPrefOrderId or ""):
            return entry
        first = entry if first is _NO_SUPPLIER else first
    return first


def _reorder_points(band: Band) -> list[ReorderPoint]:
    """For each row the first guideline with numbers, else the numbers at the top level of the record."""
    guidelines = map(_guideline, band.texts("reorderGuidelineList"))
    if not band.has_any(REORDER_FIELDS):
        return list(guidelines)
    top_level = zip(*(band.column(name, Decimal | None) for name in REORDER_FIELDS), strict=True)
    return [
        guideline if guideline != (None, None) else _numbers(ReorderEntry(*fields))
        for guideline, fields in zip(guidelines, top_level, strict=True)
    ]


@lru_cache(maxsize=16_384)
def _guideline(cell: str | None) -> ReorderPoint:
    numbered = [_numbers(entry) for entry in reorder_entries(cell)]
    return next((numbers for numbers in numbered if numbers != (None, None)), (None, None))


def _numbers(entry: ReorderEntry) -> ReorderPoint:
    point, amount = entry.point, entry.quantity
    return (
        None if point is None else amount_of(point, "the reorderPoint"),
        None if amount is None else amount_of(amount, "the reorderQuantity"),
    )


def locations(band: Band, began: datetime) -> list[Location]:
    """The facilities of a band: locations, and sublocations below them."""
    extras = band.leftovers(_LOCATION_MAPPED, _LOCATION_SILENT)
    return [_location(row, extra, began) for row, extra in zip(band.records(), extras, strict=True)]


def _location(row: dict[str, Any], extra: str | None, began: datetime) -> Location:
    modified = modified_at(row)
    return Location(
        external_id=id_of(row.get("facilityUrl"), "facilityUrl"),
        parent_id=tail(text(row, "parentFacilityUrl")),
        name=text(row, "facilityName"),
        active=row.get("statusId") in (None, "", "FACILITY_ACTIVE"),
        extra=extra,
        version=micros(modified or began),
        modified_at=modified,
    )


def vendors(band: Band, began: datetime) -> list[Vendor]:
    """The parties of a band that are suppliers; customers and carriers share the collection."""
    extras = band.leftovers(_VENDOR_MAPPED, _VENDOR_SILENT)
    rows = zip(band.records(), extras, strict=True)
    return [_vendor(row, extra, began) for row, extra in rows if "SUPPLIER" in entries(row, "roleTypeIdList")]


def _vendor(row: dict[str, Any], extra: str | None, began: datetime) -> Vendor:
    modified = modified_at(row)
    contacts = entries(row, "contactMechList")
    return Vendor(
        external_id=id_of(row.get("partyUrl"), "partyUrl"),
        name=text(row, "groupName"),
        active=row.get("statusId") in (None, "", "PARTY_ENABLED"),
        account_number=text(row, "accountNumber"),
        email=_contact(contacts, "EMAIL_ADDRESS", ("infoString", "emailAddress", "email")),
        phone=_contact(contacts, "TELECOM_NUMBER", ("contactNumber", "phoneNumber", "infoString")),
        extra=extra,
        version=micros(modified or began),
        modified_at=modified,
    )


def _contact(contacts: list[Any], type_: str, keys: tuple[str, ...]) -> str | None:
    """The first contact of a type. The value keys are those of OFBiz, Finale's ancestor; unverified."""
    matching = (entry for entry in contacts if isinstance(entry, dict) and entry.get("contactMechTypeId") == type_)
    values = (entry[key] for entry in matching for key in keys if entry.get(key))
    value = next(values, None)
    return None if value is None else str(value)


def id_of(url: Any, field: str) -> str:
    """The record id in a URL; raises ``BadAnswer`` for a record without one, which no later record could replace."""
    id_ = tail(url) if isinstance(url, str) else None
    if id_ is None:
        raise BadAnswer(f"{field} is {shown(url)}, expected the URL of a record")
    return id_
