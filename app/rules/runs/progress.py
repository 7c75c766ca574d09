"""How far a run is, how fast, and when it will be done."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

MARKS = 12
"""Moments that are kept to measure the present speed."""


class Totals(msgspec.Struct, kw_only=True):
    """Records of a run so far; ``total`` where the source knows it; ``batch`` is what is being read, for people."""

    total: int | None = None
    processed: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    held: int = 0
    owed: int = 0
    batch: str | None = None


class Progress(Totals, kw_only=True, omit_defaults=True):
    """The totals of a run, with the latest ``marks`` (epoch seconds, processed), oldest first."""

    marks: list[tuple[float, int]] = []

    def add(self, numbers: Mapping[str, int]) -> None:
        """Add the numbers of a kind's counts that also have a total."""
        for name in numbers.keys() & set(Totals.__struct_fields__):
            setattr(self, name, getattr(self, name) + numbers[name])

    def mark(self, now: datetime) -> None:
        """Add a mark for this moment."""
        self.marks = [*self.marks[1 - MARKS :], (now.timestamp(), self.processed)]


def per_second(marks: list[tuple[float, int]]) -> float | None:
    """Records per second over the latest marks; ``None`` before there are two."""
    if len(marks) < 2 or marks[-1][0] <= marks[0][0]:
        return None
    return (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])


def eta(progress: Progress, started_at: datetime | None) -> tuple[float, float] | None:
    """Seconds to go, at the faster and at the slower of the present and the average speed; ``None`` if unknown."""
    recent = per_second(progress.marks)
    if progress.total is None or recent is None or started_at is None:
        return None
    last, processed = progress.marks[-1]
    elapsed = last - started_at.timestamp()
    speeds = [speed for speed in (recent, processed / elapsed if elapsed > 0 else None) if speed]
    if not speeds:
        return None
    left = max(0, progress.total - processed)
    return left / max(speeds), left / min(speeds)
