"""Handles versions in the future: such a record must not keep out later ones."""

AHEAD = 60_000_000
"""Microseconds by which our processes' clocks may differ: a row from further ahead was written by a wrong clock."""


def settled_version(version: int, now: int, began: int) -> int:
    """The version to store for a record: its own, or if that is in the future, when its read ``began`` (all microseconds
    since 1970). Not ``now``: of two concurrent reads, the older must not win by being written later.
    """
    return version if version <= now else began
