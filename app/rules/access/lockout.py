"""How long a sign-in must wait after wrong passwords: not at all after the first few, then longer and longer; old failures
are forgotten."""

from datetime import datetime, timedelta
from typing import NamedTuple

FREE = 5
"""Wrong passwords for a name from one place before a wait begins."""

FREE_EVERYWHERE = 50
"""Wrong passwords for a name from all places together before a wait begins. Browsers that the person has signed in with are
neither counted nor held off, so that guesses cannot lock that person out."""

LONGEST = timedelta(hours=1)
LONGEST_EVERYWHERE = timedelta(minutes=2)
"""Each place has a longer wait of its own: this one only slows down attackers with many places."""

FORGIVEN_EVERY = timedelta(minutes=30)
"""After this time one wrong password is forgotten, after twice this time two, and so on."""


class Tries(NamedTuple):
    """Wrong passwords so far: how many count, when the last one came, and until when nobody can sign in."""

    failures: int = 0
    failed_at: datetime | None = None
    locked_until: datetime | None = None

    def holds_off(self, now: datetime) -> bool:
        """Whether a sign-in must wait now."""
        return self.locked_until is not None and self.locked_until > now

    def and_another(self, now: datetime, free: int, longest: timedelta = LONGEST) -> "Tries":
        """After one more wrong password: the wait is 1 minute after ``free`` of them, doubled by each more, at most
        ``longest``."""
        failures = self._counting(now) + 1
        wait = min(longest, timedelta(minutes=2 ** min(failures - free, 10))) if failures >= free else None
        return Tries(failures, now, now + wait if wait else None)

    def _counting(self, now: datetime) -> int:
        if self.failed_at is None:
            return self.failures
        return max(0, self.failures - int((now - self.failed_at) / FORGIVEN_EVERY))
