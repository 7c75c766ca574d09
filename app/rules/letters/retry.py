"""Whether, and when, a failed message is tried again: that depends on whether waiting can help."""

from dataclasses import dataclass

from app.errors import AuthRejected, Permanent, RateLimited, Transient

MAX_KILLS = 3
"""A message that has crashed its worker process this often is dead."""


@dataclass(frozen=True)
class Policy:
    """Exponential backoff: ``first`` seconds doubling up to ``longest``, dead after ``attempts`` failures."""

    first: float
    longest: float
    attempts: int


TRANSIENT = Policy(first=1.0, longest=900.0, attempts=12)  # about 2 h 20 min in all
UNEXPECTED = Policy(first=1.0, longest=60.0, attempts=4)  # a bug of ours, at best a race
ITEM_REFUSED = UNEXPECTED
"""For an item that is refused while others of the account are answered: perhaps a permission was granted only now."""


def policy_for(error: BaseException) -> Policy | None:
    """The backoff for an error, ``None`` if waiting cannot help."""
    if isinstance(error, AuthRejected):
        return ITEM_REFUSED
    if isinstance(error, Permanent):
        return None
    if isinstance(error, Transient):
        return TRANSIENT
    return UNEXPECTED


def wait_before_retry(error: BaseException, failures: int, jitter: float) -> float | None:
    """Seconds until the next attempt after this many failures (this one included), ``None`` if the message is dead.

    ``jitter`` in [0, 1) spreads retries over the upper half of the backoff, so that many items do not return at once.
    We wait at least as long as the vendor asks for (``retry_after``).
    """
    policy = policy_for(error)
    if policy is None or failures >= policy.attempts:
        return None
    backoff = min(policy.longest, policy.first * 2.0 ** min(failures - 1, 30))
    minimum = (error.retry_after or 0.0) if isinstance(error, Transient) else 0.0
    return max(backoff * (0.5 + jitter / 2), minimum)


LIMITED_FIRST, LIMITED_LONGEST = 2.0, 300.0
"""Seconds until the next call of a connection that the vendor limits."""


def wait_while_limited(error: RateLimited, limited_for: float, jitter: float) -> float:
    """Seconds until an item is tried again whose calls have been limited for so many seconds: as long again, and at least as
    the vendor asks. A limit is no failure of the item's, so this never ends. ``jitter`` in [0, 1)."""
    wait = min(LIMITED_LONGEST, max(LIMITED_FIRST, limited_for))
    return max(wait * (0.5 + jitter / 2), error.retry_after or 0.0)


VERSION_ASKS = 5
"""How often an item is fetched again while the source does not show the version of a hint: within half a minute."""

ITEM_ASKS = 8
"""How often an item is fetched again that the source announced but does not show: within about eight minutes."""


def wait_for_version(asks: int, jitter: float) -> float | None:
    """Seconds until an item is fetched again after the source showed an older version than a hint named; ``None`` after
    ``VERSION_ASKS`` fetches. ``jitter`` in [0, 1)."""
    return None if asks >= VERSION_ASKS else 2.0**asks * (0.5 + jitter / 2)


def wait_for_item(asks: int, jitter: float) -> float | None:
    """Seconds until an item is fetched again that the source announced but does not show; ``None`` after ``ITEM_ASKS``."""
    return None if asks >= ITEM_ASKS else 2.0 ** (asks + 1) * (0.5 + jitter / 2)
