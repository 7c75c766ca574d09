"""Money: how many minor units a currency has, and exact prices as text."""

from collections.abc import Mapping
from decimal import Decimal

_EXPONENTS: Mapping[str, int] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX"), 0),
    **dict.fromkeys(("UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
_USUAL_EXPONENT = 2
_FINEST = Decimal(1).scaleb(-10)


def exponent(currency: str | None) -> int:
    """How many decimals an ISO 4217 currency has: JPY none, KWD three, most two."""
    return _EXPONENTS.get(currency or "", _USUAL_EXPONENT)


def price_text(amount: Decimal) -> str:
    """An exact price in units of its currency as text, ``0.015``: at most 10 decimals, none of them a trailing zero."""
    exact = amount.quantize(_FINEST) if -amount.as_tuple().exponent > 10 else amount  # type: ignore[operator]
    return format(exact.normalize() if exact else Decimal(0), "f")


def price_of_minor(minor: int, currency: str | None) -> str:
    """Minor units as an exact price: 1650 cents are ``16.5``."""
    return price_text(Decimal(minor).scaleb(-exponent(currency)))
