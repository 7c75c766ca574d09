"""How later evidence corrects a reason."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.rules.drift.drift import DriftCause, Reason, SettledChange

CORRECTED_BY_AN_EVENT = frozenset(
    {DriftCause.MISSED, DriftCause.SILENT, DriftCause.UNKNOWN, DriftCause.DOWN, DriftCause.REFUSED}
)
"""Causes of a difference that no event had announced; an event that comes later shows that it was late."""

PATIENCE = timedelta(hours=1)
"""How long an event of a change during a run may take; a change without one by then was missed."""

MOST_LATE = timedelta(hours=48)
"""After this long a vendor has given up on a delivery."""


def corrected(cause: str, found: datetime, events: Sequence[SettledChange], now: datetime) -> Reason | None:
    """The corrected reason, ``None`` where the old one stands. ``events`` are settled changes of the row's item that we
    heard of since shortly before it was ``found``, oldest first."""
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
