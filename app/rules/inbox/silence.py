"""When silence says something: nothing came for a while, though at this time of day something always does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

DOWN_AFTER = timedelta(seconds=60)
"""A process that gave no sign for so long was not there."""

DAYS = 7
"""Days looked back."""

SHORTEST = timedelta(minutes=10)
FEWEST = 10
"""Events expected before silence is more than chance: with arrivals as in a Poisson process, none where 10 are expected
happens once in e^10, about 22,000 spans."""


def expected(counts: Sequence[int], span: timedelta) -> int | None:
    """How many events should have come in a span, if that nothing did is a gap; else ``None``.

    ``counts`` are how many came in the same span of the clock on each of the last ``DAYS`` days that have a history.
    The fewest of them is expected: a weekend or a closed morning among them keeps quiet what would be a false alarm.
    """
    if not counts or span < SHORTEST or min(counts) < FEWEST:
        return None
    return min(counts)


def lasting(span: timedelta) -> str:
    """A span for people: "40 min", "3 h 10 min", "2 d 4 h"."""
    minutes = max(0, round(span.total_seconds() / 60))
    days, hours, minutes = minutes // 1440, minutes % 1440 // 60, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
