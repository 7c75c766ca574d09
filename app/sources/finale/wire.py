"""Finale's spelling of what we read: record URLs, zoneless times, money, and the nested lists of a product."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from app.domain import INT32, INT64
from app.domain.money import exponent
from app.errors import Unmappable
from app.sources.shapes import explained, shown
from app.sources.texts import without_blanks
from app.sources.values import moment

_UNITS, _MINUS_UNITS = Decimal(INT64 - 1), Decimal(1 - INT64)
_MOST, _LEAST = Decimal(INT32 - 1), Decimal(1 - INT32)
_LONGEST = 400  # digits; with more than that no sum can be reckoned
MODIFIED = "lastUpdatedDate"
"""The field with the time of a record's last update: zoneless, UTC."""


class PriceEntry(msgspec.Struct, gc=False):
    """One entry of ``priceList``; an unset price has no ``price`` key."""

    productPriceTypeId: str | None = None  # noqa: N815 (the vendor's spelling)
    price: Decimal | None = None
    currencyUomId: str | None = None  # noqa: N815


class SupplierEntry(msgspec.Struct, gc=False):
    """One entry of ``supplierList``."""

    supplierPartyUrl: str | None = None  # noqa: N815
    supplierPrefOrderId: str | None = None  # noqa: N815
    supplierProductId: str | int | None = None  # noqa: N815
    price: Decimal | None = None
    leadTime: Decimal | None = None  # noqa: N815


class ReorderEntry(msgspec.Struct, gc=False):
    """One entry of ``reorderGuidelineList``.

    Only ``reorderCalculationMethodId`` is known from live accounts. The names of the numeric keys are guesses that
    do no harm when they are wrong: the whole list is kept as JSON beside them.
    """

    reorderPoint: Decimal | None = None  # noqa: N815
    reorderPointQuantity: Decimal | None = None  # noqa: N815
    minimumQuantity: Decimal | None = None  # noqa: N815
    reorderQuantity: Decimal | None = None  # noqa: N815
    reorderToQuantity: Decimal | None = None  # noqa: N815
    maximumQuantity: Decimal | None = None  # noqa: N815

    @property
    def point(self) -> Decimal | None:
        """The stock level at or below which to reorder."""
        return _first_set(self.reorderPoint, self.reorderPointQuantity, self.minimumQuantity)

    @property
    def quantity(self) -> Decimal | None:
        """How many to reorder: the first of three possible fields that is set."""
        return _first_set(self.reorderQuantity, self.reorderToQuantity, self.maximumQuantity)


REORDER_FIELDS = ReorderEntry.__struct_fields__
_REORDERS = msgspec.json.Decoder(list[ReorderEntry | None], strict=False)


def reorder_entries(text: str | None) -> list[ReorderEntry]:
    """The entries of a ``reorderGuidelineList`` cell; raises ``Unmappable`` when it is something else."""
    try:
        return list(filter(None, _REORDERS.decode(without_blanks(text.encode())))) if text else []
    except msgspec.ValidationError as error:
        value = msgspec.json.Decoder(float_hook=Decimal).decode(text or "")
        raise Unmappable(explained(error, value, "reorderGuidelineList")) from error


def _first_set(*values: Decimal | None) -> Decimal | None:
    return next((value for value in values if value is not None), None)


def tail(url: str | None) -> str | None:
    """The last segment of a record URL, percent-encoded as it came: ``/acct/api/product/4x8%20DJ`` -> ``4x8%20DJ``.

    It is the record's id for us: for many products it is not the public product id (reference/resource-patterns). The
    URL of a collection (``/acct/api/product/``) names no record.
    """
    if not url:
        return None
    before, _, last = url.strip().rstrip("/").rpartition("/")
    return None if before.endswith("/api") else last or None


def modified_at(row: Mapping[str, Any]) -> datetime | None:
    """When a row was last updated; raises ``Unmappable`` for anything but a time."""
    return moment(text(row, MODIFIED), MODIFIED)


def timestamp(at: datetime) -> str:
    """An aware datetime as Finale spells it: UTC, to the second, without a zone."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def minor(amount: Decimal | None, currency: str, what: str = "an amount") -> int | None:
    """An amount in minor units of an ISO 4217 currency (JPY has none, KWD a thousand), half to even.

    Raises ``Unmappable`` naming ``what`` it was, for an amount that no column holds.
    """
    if amount is None:
        return None
    try:
        units = amount.scaleb(exponent(currency))
        if _MINUS_UNITS < units < _UNITS:
            return round(units)
    except ArithmeticError as error:
        raise Unmappable(f"{what} is {amount}, expected a number") from error
    raise Unmappable(f"{what} is {shown(amount)}, expected an amount that fits 64 bits of cents")


def number(value: Any, what: str) -> Decimal | None:
    """A JSON number or numeric text as ``Decimal``; raises ``Unmappable`` naming ``what`` it was."""
    if value is None or value == "":
        return None
    try:
        number_ = Decimal(value)
        if number_.is_finite() and number_.adjusted() < _LONGEST:
            return number_
    except (ArithmeticError, TypeError, ValueError) as error:
        raise Unmappable(f"{what} is {shown(value)}, expected a number") from error
    raise Unmappable(f"{what} is {shown(value)}, expected a number")


def whole(value: Decimal, what: str) -> int:
    """A whole number of at most 32 bits, rounded; raises ``Unmappable`` naming ``what`` it was."""
    try:
        if _LEAST < value < _MOST:
            return round(value)
    except ArithmeticError as error:
        raise Unmappable(f"{what} is {value}, expected a number") from error
    raise Unmappable(f"{what} is {shown(value)}, expected a number that fits 32 bits")


def text(row: Mapping[str, Any], name: str) -> str | None:
    """A text of a row, ``None`` for an empty one; a number as it is spelled. Raises ``Unmappable`` for anything else."""
    value = row.get(name)
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    raise Unmappable(f"{name} is {shown(value)}, expected a text")


def entries(row: Mapping[str, Any], name: str) -> list[Any]:
    """A list of a row; raises ``Unmappable`` for anything else."""
    value = row.get(name)
    if value is None or value == "" or isinstance(value, list):
        return value or []
    raise Unmappable(f"{name} is {shown(value)}, expected a list")
