"""Versions that cannot be: a record dated in the future must not hold off the truth that comes after it."""

from __future__ import annotations

AHEAD = 60_000_000
"""Microseconds that a source's clock may be ahead of the database's: what is dated later is dated wrongly."""


def settled_version(version: int, now: int) -> int:
    """A record's version as it is kept: its own, or ``now`` (both microseconds since 1970) where it lies in the future."""
    return version if version <= now + AHEAD else now
