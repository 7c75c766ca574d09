"""Versions that cannot be: a record dated in the future must not hold off the truth that comes after it."""

from __future__ import annotations

AHEAD = 60_000_000
"""Microseconds that our own processes' clocks may differ at most: a row from later than that was written by a wrong one."""


def settled_version(version: int, now: int, began: int) -> int:
    """A record's version as it is kept: its own, or where it lies in the future when the read that showed it ``began``
    (all microseconds since 1970). Not ``now``: of two reads under way the older must not win by being written later.
    """
    return version if version <= now else began
