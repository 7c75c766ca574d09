"""Counts requests as Finale does and answers 429 when there are too many."""

from collections import deque
from collections.abc import Callable

from app.sources.finale.simulator.settings import Options


class Limits:
    """Sliding windows: GET and POST per minute, lists per hour."""

    def __init__(self, options: Options, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._taken: dict[str, deque[float]] = {}
        self.refused = 0

    def take(self, method: str, *, is_list: bool) -> dict[str, str] | None:
        """Count a request; returns the headers of its refusal, or ``None`` when it may pass."""
        windows = [self._window("post" if method == "POST" else "get", 60)]
        if is_list:
            windows.append(self._window("list", 3600))
        for limit, seconds, taken in windows:
            if limit and len(taken) >= limit:
                self.refused += 1
                return self._headers(limit, taken[0] + seconds)
        for _, _, taken in windows:
            taken.append(self._clock())
        return None

    def refuse(self) -> dict[str, str]:
        """The headers of a refusal that a switch asks for."""
        self.refused += 1
        return self._headers(self._options.rate_get, self._clock() + 2)

    def _headers(self, limit: int, reset: float) -> dict[str, str]:
        """The three headers; a switch selects the unit of the reset because sources disagree about it."""
        unit = 1 if self._options.reset_in_seconds else 1000
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(int(reset * unit)),
        }

    def _window(self, name: str, seconds: float) -> tuple[int, float, deque[float]]:
        limit = {"get": self._options.rate_get, "post": self._options.rate_post, "list": self._options.rate_lists}
        taken = self._taken.setdefault(name, deque())
        while taken and taken[0] <= self._clock() - seconds:
            taken.popleft()
        return limit[name], seconds, taken
