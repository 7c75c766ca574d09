"""The simulated Square's clock with strictly increasing stamps, and its spellings of times."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

GENESIS_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z: when the account's first object was made


class Clock:
    """Milliseconds and microseconds since 1970; every call gets another stamp."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._began_us = 0
        self._ms = 0
        self._us = 0

    def resume(self, latest_us: int) -> None:
        """Continue where another clock stopped: even if the wall clock was set back, no stamp repeats."""
        self._began_us = self._us = latest_us
        self._ms = latest_us // 1000

    def latest_us(self) -> int:
        """The latest of all stamps so far and the present."""
        return max(self._us, self._ms * 1000, self._now_us())

    def lead_us(self) -> int:
        """How far the stamps are ahead of the present, because many were needed at once."""
        return self.latest_us() - self._now_us()

    def now_ms(self) -> int:
        """The present, not unique."""
        return self._now_us() // 1000

    def _now_us(self) -> int:
        return max(self._began_us, int(self._now() * 1_000_000))

    def tick_ms(self) -> int:
        """A new catalog version."""
        self._ms = max(self._ms + 1, self.now_ms())
        return self._ms

    def tick_us(self) -> int:
        """A new calculation of a count."""
        self._us = max(self._us + 1, self._now_us())
        return self._us


def trimmed(us: int) -> str:
    """The catalog's and the counts' spelling: without trailing zeros of the fraction."""
    seconds, fraction = divmod(us, 1_000_000)
    digits = f"{fraction:06d}".rstrip("0")
    return f"{_whole(seconds)}.{digits}Z" if digits else f"{_whole(seconds)}Z"


def catalog_text(ms: int) -> str:
    """A catalog object's ``updated_at``."""
    return trimmed(ms * 1000)


def order_text(ms: int) -> str:
    """The orders' spelling: always three digits."""
    return f"{_whole(ms // 1000)}.{ms % 1000:03d}Z"


def event_text(us: int) -> str:
    """The events' spelling: nine digits."""
    return f"{_whole(us // 1_000_000)}.{us % 1_000_000:06d}803Z"


def _whole(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
