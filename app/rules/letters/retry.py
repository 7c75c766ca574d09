"""Whether, and when, a failed message is tried again: one question per error class, "will waiting help?"."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import AuthRejected, Permanent, RateLimited, Transient

MAX_KILLS = 3
"""A message that took its worker process down this often is dead."""


@dataclass(frozen=True)
class Policy:
    """Exponential backoff: ``first`` seconds doubling up to ``longest``, dead after ``attempts`` failures."""

    first: float
    longest: float
    attempts: int


TRANSIENT = Policy(first=1.0, longest=900.0, attempts=12)  # about 2 h 20 min in all
RATE_LIMITED = Policy(first=2.0, longest=300.0, attempts=60)  # the vendor is well, only busy: about 4 h 40 min
UNEXPECTED = Policy(first=1.0, longest=60.0, attempts=4)  # a bug of ours: perhaps a race, hardly ever more
ITEM_REFUSED = (
    UNEXPECTED  # the account and its other items are answered: perhaps credentials or a right were just given
)


def policy_for(error: BaseException) -> Policy | None:
    """The backoff for an error, ``None`` when waiting cannot help."""
    if isinstance(error, AuthRejected):
        return ITEM_REFUSED
    if isinstance(error, Permanent):
        return None
    if isinstance(error, RateLimited):
        return RATE_LIMITED
    if isinstance(error, Transient):
        return TRANSIENT
    return UNEXPECTED


def wait_before_retry(error: BaseException, failures: int, jitter: float) -> float | None:
    """Seconds until the next try after this many failures (this one included), ``None`` for "it is dead".

    ``jitter`` in [0, 1) spreads retries over the upper half of the backoff, so that a herd does not return at
    once. A wish of the vendor (``retry_after``) is the least we wait.
    """
    policy = policy_for(error)
    if policy is None or failures >= policy.attempts:
        return None
    backoff = min(policy.longest, policy.first * 2.0 ** min(failures - 1, 30))
    wish = (error.retry_after or 0.0) if isinstance(error, Transient) else 0.0
    return max(backoff * (0.5 + jitter / 2), wish)


VERSION_ASKS = 5
"""How often an item is asked for again whose hinted version the source does not show: within about half a minute."""

ITEM_ASKS = 8
"""How often an item is asked for again that the source announced and does not know: within about eight minutes."""


def wait_for_version(asks: int, jitter: float) -> float | None:
    """Seconds until an item is asked for again of which a hint named a newer version than the source shows; ``None`` when
    it was asked often enough. ``jitter`` in [0, 1)."""
    return None if asks >= VERSION_ASKS else 2.0**asks * (0.5 + jitter / 2)


def wait_for_item(asks: int, jitter: float) -> float | None:
    """The same for an item that the source announced but does not know (yet)."""
    return None if asks >= ITEM_ASKS else 2.0 ** (asks + 1) * (0.5 + jitter / 2)
