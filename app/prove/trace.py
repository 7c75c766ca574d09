"""The events of a simulation in order, and the few that concern one item."""

from collections.abc import Sequence
from typing import NamedTuple

SHOWN = 60
"""Lines of a trace that are shown."""


class Line(NamedTuple):
    """One event: virtual seconds, process, what happened, and the ids that it concerns."""

    at: float
    process: str
    what: str
    ids: tuple[str, ...]


class Trace:
    def __init__(self) -> None:
        self.lines: list[Line] = []

    def add(self, at: float, process: str, what: str, ids: Sequence[str] = ()) -> None:
        """Add an event; one without ids concerns everything."""
        self.lines.append(Line(at, process, what, tuple(ids)))

    def about(self, words: Sequence[str]) -> list[str]:
        """The last events that concern any of these ids, and those that concern everything."""
        wanted = set(words)
        chosen = [line for line in self.lines if not line.ids or wanted & set(line.ids) or not wanted]
        return [
            f"{line.at:9.3f}  {line.process:<12} {line.what} {' '.join(line.ids)[:60]}" for line in chosen[-SHOWN:]
        ]
