"""How much of what only deltas show is compared again each night, so that a month compares all of it."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

REACH = timedelta(days=730)
"""What was last changed longer ago is compared no more."""

NIGHTS = 28
"""In so many nights all of it is compared, where the budget allows."""

SHARE = 0.05
"""Of the calls of a day, what a slice may cost."""


def rows_of_slice(rows: int, per_call: int, calls_a_day: float | None) -> int:
    """How many of so many rows are compared tonight, where a call shows ``per_call`` of them; ``calls_a_day`` are all
    that the vendor allows, ``None`` where it has no limit. At least one: what is slow ends all the same."""
    wanted = ceil(rows / NIGHTS)
    return wanted if calls_a_day is None else max(1, min(wanted, int(calls_a_day * SHARE) * per_call))


def nights(rows: int, of_slice: int) -> int:
    """In how many nights all rows are compared."""
    return ceil(rows / of_slice) if of_slice else 0
