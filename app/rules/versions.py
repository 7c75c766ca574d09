"""Versions and moments from the future: they come from a wrong clock, so they protect no row from the truth."""

from __future__ import annotations

from datetime import timedelta

FUTURE = timedelta(seconds=5)
"""Two right clocks may differ by so much: what lies further ahead of our own is a wrong clock's."""


def settled_version(version: int, now_micros: int) -> int:
    """The version to store: a version beyond now (microseconds since 1970) becomes now, so that it freezes nothing."""
    return min(version, now_micros)
