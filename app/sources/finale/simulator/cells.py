"""Spells times, numbers and money as cells of the simulated account."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

Columns = Mapping[str, Callable[[Any], Any]]
"""For each column of a collection a function from a record to its cell."""


@lru_cache(maxsize=65_536)
def stamp(epoch: int) -> str:
    """A time as Finale writes it: UTC, no zone, no fraction."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def plain(amount: Decimal) -> int | float:
    """A JSON number."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def money(cents: int | Decimal | None) -> int | float | None:
    """Cents as Finale's JSON numbers."""
    return None if cents is None else plain(Decimal(cents) / 100)
