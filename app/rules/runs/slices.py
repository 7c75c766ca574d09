"""How many older rows are compared again each night, so that a month compares all of them."""

from datetime import timedelta
from math import ceil

REACH = timedelta(days=730)
"""Rows that changed longer ago are not compared any more."""

NIGHTS = 28
"""In how many nights all rows are compared, if the budget allows."""

SHARE = 0.05
"""The share of a day's calls that a slice may cost."""


def rows_of_slice(rows: int, per_call: int, calls_a_day: float | None) -> int:
    """How many of ``rows`` are compared tonight, at ``per_call`` rows a call; at least one, so that even a slow round ends.
    ``calls_a_day`` is the vendor's limit, ``None`` without one."""
    wanted = ceil(rows / NIGHTS)
    return wanted if calls_a_day is None else max(1, min(wanted, int(calls_a_day * SHARE) * per_call))


def nights(rows: int, of_slice: int) -> int:
    """The number of nights in which all rows are compared."""
    return ceil(rows / of_slice) if of_slice else 0
