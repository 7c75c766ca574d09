"""Why a nightly run found a difference: one cause per row, from what the database remembers of the item."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DriftCause(StrEnum):
    """The answer to "why was this row wrong?"."""

    MISSED = "missed"
    LATE = "late"
    FAILED = "failed"
    LOCAL = "local"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Traces:
    """What the database knows of a differing item.

    ``edited``: the row was changed here, not by a sync. ``failing``: a dead letter is open or attempts failed.
    ``waiting``: an owed item says that a change is known but not settled. ``heard``: a change of the item was heard
    of at or after the moment the source says it last changed.
    """

    edited: bool = False
    failing: bool = False
    waiting: bool = False
    heard: bool = False


def cause_of(traces: Traces) -> DriftCause:
    """The most specific cause that the traces allow."""
    if traces.edited:
        return DriftCause.LOCAL
    if traces.failing:
        return DriftCause.FAILED
    if traces.waiting:
        return DriftCause.LATE
    if traces.heard:
        return DriftCause.UNKNOWN
    return DriftCause.MISSED
