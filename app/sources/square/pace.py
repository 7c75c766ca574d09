"""Our rate of calls, which halves when Square answers 429 and recovers slowly (AIMD).

Square publishes no number and documents no Retry-After; 429 was seen at about 6 calls a second on one endpoint.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence

import httpx

from app.sources.base import Limit

SLOWEST = 1.0  # calls per second
HIGHEST = 2.0  # times the configured rate
RECOVERY = 5.0  # seconds at full use until the rate has grown by one call per second
ONE_BURST = 1.0  # seconds in which several 429 are one and the same congestion


class Pace:
    """The present rate in calls per second, shared by all threads of this process."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        """Calls per second we allow ourselves now."""
        self._ceiling = rate * HIGHEST
        self._clock = clock
        self._halved_at = float("-inf")
        self._lock = threading.Lock()

    def limits(self) -> Sequence[Limit]:
        """The rate as a limit for the budget all processes share."""
        return (Limit("calls", max(1, int(self.rate)), 1.0),)

    def went_well(self) -> None:
        """A call was answered: grow by one call per second every ``RECOVERY`` seconds of full use."""
        with self._lock:
            self.rate = min(self._ceiling, self.rate + 1.0 / (self.rate * RECOVERY))

    def was_refused(self) -> None:
        """A call was answered 429: halve, once for a burst of them."""
        with self._lock:
            now = self._clock()
            if now - self._halved_at >= ONE_BURST:
                self._halved_at = now
                self.rate = max(SLOWEST, self.rate / 2)


def retry_after(response: httpx.Response) -> float | None:
    """Seconds of a Retry-After header, undocumented but honoured if it is there; ``None`` for any other text."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def backoff(attempt: int) -> float:
    """Seconds to wait after the n-th 429 in a row (from 0): exponential with full jitter, at most 16 s."""
    return random.uniform(0.25, 0.5 * 2 ** min(attempt, 5))  # noqa: S311 - jitter, no secret
