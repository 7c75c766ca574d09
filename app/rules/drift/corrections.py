"""What later evidence makes of a reason that was told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.rules.drift.drift import Answered, DriftCause, Reason

CORRECTED_BY_AN_EVENT = frozenset(
    {DriftCause.MISSED, DriftCause.SILENT, DriftCause.UNKNOWN, DriftCause.DOWN, DriftCause.REFUSED}
)
"""What was said of a difference of which nobody had heard; an event that comes later shows that it was late."""

PATIENCE = timedelta(hours=1)
"""So long an event of a change during a run may take; what is not heard of by then was missed."""

MOST_LATE = timedelta(hours=48)
"""A vendor has given up on a delivery by then."""


def corrected(cause: str, found: datetime, events: Sequence[Answered], now: datetime) -> Reason | None:
    """What later evidence makes of a reason: ``events`` are those of the row's item, heard since a little before it was
    ``found``, oldest first. ``None`` where nothing changes."""
    if cause not in CORRECTED_BY_AN_EVENT:
        return None
    first = next((one for one in events if one.cause == "webhook"), None)
    if first is not None and first.outcome != "applied" and first.heard <= found + MOST_LATE:
        why = f"Its event came at {first.heard:%Y-%m-%d %H:%M} UTC, when the run had repaired the row already."
        return Reason(DriftCause.LATE, None, found, why)
    if cause == DriftCause.UNKNOWN and first is None and now > found + PATIENCE:
        why = "It changed while the run read, and no event named it within the hour."
        return Reason(DriftCause.MISSED, None, found, why)
    return None
