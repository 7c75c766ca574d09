"""When silence means an outage: no events came for a while, although some always come at this time of day."""

from collections.abc import Sequence
from datetime import timedelta

DOWN_AFTER = timedelta(seconds=60)
"""A process without a heartbeat for this long was down."""

DAYS = 7
"""Earlier days that a silence is compared with."""

MIN_SILENCE = timedelta(minutes=10)
MIN_EXPECTED = 10
"""With fewer expected events, silence may be chance. In a Poisson process, none where 10 are expected happens once in
e^10, about 22,000 spans."""


def expected(counts: Sequence[int], span: timedelta) -> int | None:
    """How many events should have arrived in a span without any, if that is an outage; else ``None``.

    ``counts`` are the events in the same span of the clock on each of the last ``DAYS`` days that have a history. The
    smallest is expected: a weekend or a closed morning among them prevents a false alarm.
    """
    if not counts or span < MIN_SILENCE or min(counts) < MIN_EXPECTED:
        return None
    return min(counts)


def lasting(span: timedelta) -> str:
    """A time span for people: "40 min", "3 h 10 min", "2 d 4 h"."""
    minutes = max(0, round(span.total_seconds() / 60))
    days, hours, minutes = minutes // 1440, minutes % 1440 // 60, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
