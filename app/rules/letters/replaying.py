"""How fast a replay may go: a canary first, then at its rate."""

from __future__ import annotations

CANARY = (1, 10)
"""Items of the first stages; the rest is the last one."""


def allowed(*, canary: bool, sent: int, settled: int) -> int | None:
    """How many items may be sent now; ``None`` for as many as the rate allows.

    ``sent`` counts all that were sent so far, ``settled`` those of them that went well. With a canary the next stage
    begins when all before it went well.
    """
    if not canary:
        return None
    end = 0
    for stage in CANARY:
        end += stage
        if sent < end:
            began = end - stage
            return end - sent if settled >= began else 0
    return None if settled >= end else 0


class Pace:
    """Spreads items over time: at most ``rate`` a second (0: no limit), and never more than ``most`` at once."""

    def __init__(self, rate: int, now: float, *, most: int = 500) -> None:
        self._rate = rate
        self._most = most
        self._last = now
        self._due = 1.0

    def due(self, now: float) -> int:
        """How many may go at this moment (seconds on any steady clock)."""
        if self._rate <= 0:
            return self._most
        self._due = min(self._due + (now - self._last) * self._rate, float(max(1, self._rate)))
        self._last = now
        return min(int(self._due), self._most)

    def sent(self, count: int) -> None:
        """So many went."""
        self._due -= count
