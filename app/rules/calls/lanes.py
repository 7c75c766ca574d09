"""Who goes first when a connection's calls are scarce: a person, then webhooks, polls, bulk runs, and spot checks last.

Every lane may fill a window up to a ceiling of its own, whoever made the calls in it. The last calls of a window are
thus left for the higher lanes, and in a full one the lowest gives way first. Bulk runs also have a share: what they
took in a quiet hour must not be missing when the shop gets busy. A share alone would let them compete with webhooks
for every call that becomes free; a ceiling as low as the share would stop them for good in a busy shop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum

from app.domain import Cause


class Lane(IntEnum):
    """Why a call is made; the lower number goes first."""

    PERSON = 0
    WEBHOOK = 1
    POLL = 2
    BULK = 3
    SPARE = 4

    @property
    def word(self) -> str:
        """The lane's name for people and reports: ``person``, ``webhook``, ``poll``, ``bulk``, ``spare``."""
        return self.name.lower()


_CEILING = {Lane.PERSON: 100, Lane.WEBHOOK: 95, Lane.POLL: 90, Lane.BULK: 85, Lane.SPARE: 50}  # per cent of a window
_BULK_SHARE = 60  # per cent of a window

_LANES = {
    Cause.PERSON: Lane.PERSON,
    Cause.REPLAY: Lane.PERSON,
    Cause.WEBHOOK: Lane.WEBHOOK,
    Cause.POLL: Lane.POLL,
    Cause.LOOKUP: Lane.POLL,
    Cause.STORM: Lane.POLL,
    Cause.RECONCILE: Lane.BULK,
}

_now_in: ContextVar[Lane] = ContextVar("lane", default=Lane.WEBHOOK)


@contextmanager
def lane(lane: Lane) -> Iterator[None]:
    """Make every call of the block in this lane; the innermost block decides.

    It is this thread's alone: threads started inside begin in the default lane. Not for use around a ``yield``.
    """
    token = _now_in.set(lane)
    try:
        yield
    finally:
        _now_in.reset(token)


def current_lane() -> Lane:
    """The lane of this thread's calls: ``WEBHOOK``, live work, unless a block says otherwise."""
    return _now_in.get()


def lane_of(cause: str) -> Lane:
    """The lane in which an item is fetched that is owed for this cause (a ``Cause``, or its text)."""
    return _LANES[Cause(cause)]


def ceiling(lane: Lane, calls: int) -> int:
    """Up to how many calls of all lanes in a window of ``calls`` this lane may take one more.

    A person may take the last one. However small the window, each lane leaves one call more than the lane above it,
    as long as there is one to leave; with none left to tell them apart, all may take the first.
    """
    return max(1, min(calls * _CEILING[lane] // 100, calls - lane))


def most(lane: Lane, calls: int) -> int:
    """The most calls that this lane can have in one window of ``calls``, when nobody else makes any."""
    return ceiling(lane, calls) if lane is not Lane.BULK else max(1, min(calls * _BULK_SHARE // 100, calls - lane))


def free(lane: Lane, used: Sequence[int], calls: int) -> int:
    """How many calls the lane may take now in a window of ``calls``; ``used`` are those in it, for each lane."""
    return max(0, min(ceiling(lane, calls) - sum(used), most(lane, calls) - used[lane]))
