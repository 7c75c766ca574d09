"""Who goes first when a connection's calls are scarce: people, then webhooks, polls, bulk runs, and spot checks last.

Every lane may fill a window up to a ceiling of its own, whoever made the calls in it. This leaves the last calls of a
window for the higher lanes, and in a full window the lowest lane gives way first. Bulk runs also have a share, so that
the calls they took in a quiet hour are not missing when the shop gets busy. A share alone would let them compete with
webhooks for every call that becomes free; a ceiling as low as the share would stop them for good in a busy shop.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Limit:
    """At most ``calls`` in any ``seconds``: a sliding window, shared by name within a connection."""

    name: str
    calls: int
    seconds: float

    @property
    def a_day(self) -> float:
        """The number of calls that it allows in a day."""
        return self.calls * 86_400.0 / self.seconds


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

    Applies to this thread only: threads started inside begin in the default lane. Do not use it around a ``yield``.
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
    """The lane for fetching an item that is owed for this cause (a ``Cause``, or its text)."""
    return _LANES[Cause(cause)]


def ceiling(lane: Lane, calls: int) -> int:
    """The number of calls of all lanes in a window of ``calls`` below which this lane may make another call.

    A person may take the last one. However small the window, each lane leaves one call more than the lane above it, as long
    as there is one to leave; if the window is too small to tell them apart, all may take its first call.
    """
    return max(1, min(calls * _CEILING[lane] // 100, calls - lane))


def most(lane: Lane, calls: int) -> int:
    """The most calls that this lane may make in one window of ``calls`` if no other lane makes any."""
    return ceiling(lane, calls) if lane is not Lane.BULK else max(1, min(calls * _BULK_SHARE // 100, calls - lane))


def free(lane: Lane, used: Sequence[int], calls: int) -> int:
    """How many calls the lane may make now in a window of ``calls``; ``used`` are those already made, by lane."""
    return max(0, min(ceiling(lane, calls) - sum(used), most(lane, calls) - used[lane]))
