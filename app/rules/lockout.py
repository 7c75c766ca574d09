"""How long a name must wait after wrong passwords: nothing for the first few, then longer and longer."""

from __future__ import annotations

from datetime import timedelta

FREE = 5
"""Wrong passwords in a row that cost nothing."""

LONGEST = timedelta(hours=1)


def lockout(failures: int) -> timedelta:
    """How long nobody is let in after so many wrong passwords in a row: 1 minute after 5, doubled by each more, at
    most ``LONGEST``."""
    if failures < FREE:
        return timedelta(0)
    return min(LONGEST, timedelta(minutes=2 ** min(failures - FREE, 10)))
