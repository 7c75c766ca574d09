"""Reads times and quantities, which all vendors spell alike; each error names the field and what was expected."""

from datetime import UTC, datetime
from decimal import Decimal

from app.domain import quantity
from app.errors import Unmappable
from app.sources.shapes import shown

_ZONELESS_LENGTH = len("2026-04-01T15:06:46")


def moment(text: str | None, what: str = "a time") -> datetime | None:
    """The aware UTC datetime of an ISO 8601 time, UTC where it has no zone; digits beyond microseconds are cut off.

    Raises ``Unmappable`` naming ``what`` it was, for any other text.
    """
    if not text:
        return None
    try:
        if len(text) == _ZONELESS_LENGTH and text[-3] == ":":
            return datetime.fromisoformat(text + "+00:00")  # faster than adding the zone afterwards
        parsed = datetime.fromisoformat(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        right = "a time like 2026-04-01T15:06:46Z, of the years 1 to 9999"
        raise Unmappable(f"{what} is {shown(text)}, expected {right}") from error


def amount_of(value: str | int | float | Decimal, what: str) -> Decimal:
    """A canonical quantity; raises ``Unmappable`` naming ``what`` it was, for one that no column holds."""
    try:
        return quantity(value)
    except (ValueError, ArithmeticError) as error:
        raise Unmappable(f"{what} is {shown(value)}, expected a number of at most 15 digits") from error
