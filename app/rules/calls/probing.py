"""When a connection that does not work, or a kind that may not be read, is tried again."""

from datetime import timedelta

FIRST = timedelta(seconds=5)
LONGEST = timedelta(minutes=5)

KIND_FIRST = timedelta(seconds=30)
KIND_LONGEST = timedelta(hours=1)


def wait_before_probe(probes: int) -> timedelta:
    """How long to wait after this many failed probes: 5 s, doubling to 5 min."""
    return _doubled(FIRST, LONGEST, probes)


def wait_before_reading(tries: int, *, certain: bool) -> timedelta:
    """How long a kind is left alone after this many failed reads: an hour if the vendor said that we lack the right
    (``certain``), else 30 s, doubling to an hour."""
    return KIND_LONGEST if certain else _doubled(KIND_FIRST, KIND_LONGEST, tries)


def _doubled(first: timedelta, longest: timedelta, times: int) -> timedelta:
    doubled: timedelta = first * (1 << max(0, min(times, 20)))
    return min(longest, doubled)
