"""How fast a replay may send its items: a canary first, then at its rate."""

CANARY = (1, 10)
"""Items of the first stages; the last stage is the rest."""


def allowed(*, canary: bool, sent: int, settled: int) -> int | None:
    """How many items may be sent now; ``None`` for as many as the rate allows.

    ``sent`` counts all items sent so far, ``settled`` those of them that succeeded. With a canary, a stage begins when
    all items before it succeeded.
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


class SendRate:
    """Spreads items over time: at most ``rate`` a second (0: no limit), and at most ``batch`` at once."""

    def __init__(self, rate: int, now: float, *, batch: int = 500) -> None:
        self._rate = rate
        self._batch = batch
        self._last = now
        self._due = 1.0

    def due(self, now: float) -> int:
        """How many items may be sent at ``now`` (seconds on a monotonic clock)."""
        if self._rate <= 0:
            return self._batch
        self._due = min(self._due + (now - self._last) * self._rate, float(max(1, self._rate)))
        self._last = now
        return min(int(self._due), self._batch)

    def sent(self, count: int) -> None:
        """Note that ``count`` items were sent."""
        self._due -= count
