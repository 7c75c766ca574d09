"""Why a read found a difference, and since when it was there: these are concluded from the traces of the row, never guessed;
and how later evidence corrects them.

Each answer is a cause, the two moments between which our copy became wrong, and a sentence with the trace that shows it.
Where the traces do not show the cause, it is unknown, and the sentence says why.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from app.rules.drift.drift import SLACK, DriftCause, Evidence, Reason, Restore, SettledChange, Span, Traces

UNDER_WAY = timedelta(minutes=2)
"""The event of a change this short before a read began may still be on its way."""

DELIVERED = timedelta(minutes=5)
"""How long after a change a vendor makes its first try to deliver the event."""

CORRECTED_BY_AN_EVENT = frozenset(
    {DriftCause.MISSED, DriftCause.SILENT, DriftCause.UNKNOWN, DriftCause.DOWN, DriftCause.REFUSED}
)
"""Causes of a difference that no event had announced; an event that comes later shows that it was late."""

PATIENCE = timedelta(hours=1)
"""How long an event of a change during a run may take; a change without one by then was missed."""

MOST_LATE = timedelta(hours=48)
"""After this long a vendor has given up on a delivery."""


def reason_of(traces: Traces) -> Reason:
    """The most specific reason that the traces allow."""
    for rule in _RULES:
        reason = rule(traces)
        if reason is not None:
            return reason
    return _missed(traces)


def corrected(cause: str, found_at: datetime, events: Sequence[SettledChange], now: datetime) -> Reason | None:
    """The corrected reason, ``None`` where the old one stands. ``events`` are settled changes of the row's item that we
    heard of since shortly before it was ``found``, oldest first."""
    if cause not in CORRECTED_BY_AN_EVENT:
        return None
    first = next((event for event in events if event.cause == "webhook"), None)
    if first is not None and first.outcome != "applied" and first.heard <= found_at + MOST_LATE:
        why = f"Its event arrived at {first.heard:%Y-%m-%d %H:%M} UTC, after the run had repaired the row."
        return Reason(DriftCause.LATE, None, found_at, why)
    if cause == DriftCause.UNKNOWN and first is None and now > found_at + PATIENCE:
        why = "It changed while the run read, and no event named it within the hour."
        return Reason(DriftCause.MISSED, None, found_at, why)
    return None


def claimed(rows: Sequence[Traces]) -> list[Traces]:
    """The rows, each with only those refused deliveries that can be about it. A delivery that names no item is attributed to
    the last unannounced change before it, and to all changes of the minute before that, because one may be about many."""
    changes = [row.happened for row in rows if row.happened is not None and not _was_heard(row)]
    stand_for = _stand_for({moment for row in rows for moment in row.refused}, changes)
    return [replace(row, refused=[at for at in row.refused if _is_of(row, stand_for.get(at))]) for row in rows]


def _stand_for(refused: Collection[datetime], changes: Sequence[datetime]) -> dict[datetime, Span]:
    """The changes that each refused delivery is attributed to; a change has at most one delivery."""
    spans: dict[datetime, Span] = {}
    for moment in sorted(refused):
        near = [at for at in changes if Span(at, at + DELIVERED).has(moment)]
        before = [at for at in near if at <= moment] or [min(near)] if near else []
        if before:
            spans[moment] = Span(max(before) - SLACK, max(before))
            changes = [at for at in changes if not spans[moment].has(at, timedelta(0))]
    return spans


def _was_heard(traces: Traces) -> bool:
    at, settled = traces.happened, traces.settled
    if traces.waiting is not None or traces.failing is not None:
        return True
    return at is not None and settled is not None and settled.heard >= at - SLACK


def _is_of(traces: Traces, span: Span | None) -> bool:
    at = traces.happened
    return span is not None and at is not None and span.has(at, timedelta(0)) and not _was_heard(traces)


def _reason(
    traces: Traces, cause: DriftCause, why: str, since: datetime | None = None, latest: datetime | None = None
) -> Reason:
    """A reason; its span is the widest that is certain, unless a rule knows better."""
    latest = min(latest or traces.happened or traces.found_at, traces.found_at)
    since = since or traces.right_at
    return Reason(cause, None if since is None else min(since, latest), latest, why)


def _local(traces: Traces) -> Reason | None:
    now = traces.found_at
    if traces.edited:
        why = "The row's content is not what we wrote: somebody changed it here."
        return _reason(traces, DriftCause.LOCAL, why, latest=now)
    if traces.change == "missing" and traces.removed is not None:
        known = traces.right_at is None or traces.right_at <= traces.removed <= now
        at = traces.removed if known else None
        return _reason(traces, DriftCause.LOCAL, "Somebody deleted the row here.", since=at, latest=at or now)
    return None


def _failed(traces: Traces) -> Reason | None:
    return _from_failure(traces, traces.failing)


def _whole_failed(traces: Traces) -> Reason | None:
    return _from_failure(traces, traces.whole_failing) if traces.shows else None


def _from_failure(traces: Traces, failure: Evidence | None) -> Reason | None:
    if failure is None:
        return None
    why = f"We were notified of a change and could not sync it: {failure.words}."
    return _reason(traces, DriftCause.FAILED, why, latest=_first(traces.happened, failure.since))


def _restored(traces: Traces) -> Reason | None:
    at = traces.happened
    for one in traces.restores if traces.shows or traces.change == "vanished" else ():
        if _is_still_owed(traces, one):
            continue
        if _is_lost(traces, one) if at is None else _was_brought(traces, one, at):
            why = f"A backup was restored here; what came after {one.back_to:%Y-%m-%d %H:%M} UTC was lost."
            return _reason(traces, DriftCause.RESTORED, why, since=max(one.lost, at or one.lost), latest=one.noticed)
    return None


def _is_still_owed(traces: Traces, restore: Restore) -> bool:
    """Whether the change is still owed, in spite of the restore."""
    return traces.waiting is not None and (not restore.everything or traces.waiting <= restore.lost)


def _is_lost(traces: Traces, restore: Restore) -> bool:
    """Whether a restore can have undone a change without a time. Where only one table was restored, the record of what we
    settled after that still exists."""
    settled = traces.settled
    return restore.everything or (settled is not None and settled.at > restore.back_to)


def _was_brought(traces: Traces, restore: Restore, at: datetime) -> bool:
    """Whether we can have had a change before a restore lost it. Where only one table was restored, the record of it still
    exists: we settled the row's event, or looked at the whole kind."""
    if not Span(restore.back_to, restore.lost).has(at):
        return False
    settled = traces.settled
    own = settled is not None and settled.outcome == "applied" and settled.at >= at
    return restore.everything or own or any(at <= look <= restore.lost for look in traces.looks)


def went_back(traces: Traces) -> bool:
    """Whether we settled the change, but our row is older: its table was restored."""
    at, settled = traces.happened, traces.settled
    if traces.edited or traces.removed is not None:
        return False
    if at is None or settled is None or settled.outcome != "applied" or settled.at < at:
        return False
    return traces.written_at is None or bool(traces.newer and traces.written_at < settled.at)


def _late(traces: Traces) -> Reason | None:
    since = traces.waiting
    if since is None:
        return None
    why = f"The change was owed since {since:%Y-%m-%d %H:%M} UTC and not processed yet."
    return _reason(traces, DriftCause.LATE, why, latest=_first(traces.happened, since))


def _whole_late(traces: Traces) -> Reason | None:
    since = traces.whole_waiting
    if since is None or not traces.shows:
        return None
    why = f"A read of the whole kind was owed since {since:%Y-%m-%d %H:%M} UTC and not done yet."
    return _reason(traces, DriftCause.LATE, why)


def _mapping(traces: Traces) -> Reason | None:
    if traces.mapping is None or traces.newer or not traces.content_only or traces.change == "vanished":
        return None
    if traces.alone_in_fields:
        return None
    if traces.change == "missing" and (traces.changed is None or traces.changed > traces.mapping.began):
        return None
    why = "The source shows the same version as before: what changed is how we read it (a new release of Tallyhook)."
    return _reason(traces, DriftCause.MAPPING, why, since=traces.mapping.began, latest=traces.mapping.ended)


def _stale(traces: Traces) -> Reason | None:
    settled, at = traces.settled, traces.happened
    if settled is None or (traces.change == "vanished" and settled.outcome != "stale"):
        return None
    if at is None and not (settled.cause == "webhook" and settled.outcome in ("unchanged", "stale")):
        return None
    if at is not None and settled.at < at:
        return None
    why = f"We fetched it at {settled.at:%Y-%m-%d %H:%M} UTC after an event, and the vendor showed an older state."
    return _reason(traces, DriftCause.STALE, why, latest=_first(at, settled.heard))


def _refused(traces: Traces) -> Reason | None:
    at = traces.happened
    after = at - SLACK if at is not None else traces.right_at
    named = [moment for moment in traces.refused_by_name if after is None or moment >= after]
    near = [] if at is None else [one for one in traces.refused if Span(at, at + DELIVERED).has(one)]
    refused = min([*named, *near], default=None)
    if refused is None:
        return None
    why = f"We refused a delivery at {refused:%Y-%m-%d %H:%M} UTC: its signature was wrong."
    return _reason(traces, DriftCause.REFUSED, why, latest=_first(at, refused))


def _down(traces: Traces) -> Reason | None:
    at = traces.happened
    for span in traces.downs if traces.shows or traces.change == "vanished" else ():
        if span.has(at) if at is not None else traces.right_at is None or span.ended > traces.right_at:
            why = f"We were down from {span.began:%Y-%m-%d %H:%M} to {span.ended:%Y-%m-%d %H:%M} UTC."
            return _reason(traces, DriftCause.DOWN, why)
    looked = traces.not_looked
    if looked is not None and traces.shows and (at is None or at > looked - SLACK):
        why = f"Polls are off: nothing was read since {looked:%Y-%m-%d %H:%M} UTC."
        return _reason(traces, DriftCause.DOWN, why)
    return None


def _too_early(traces: Traces) -> Reason | None:
    at = traces.happened
    if at is not None and at >= traces.read_at - UNDER_WAY:
        why = "It changed while the run read: its event may still be on its way."
        return _reason(traces, DriftCause.UNKNOWN, why)
    return None


def _silent(traces: Traces) -> Reason | None:
    if traces.change != "differs" or traces.newer is not False:
        return None
    why = "The source shows other content with the time of change that we have: no poll can see such an edit."
    return _reason(traces, DriftCause.SILENT, why)


def _missed(traces: Traces) -> Reason:
    return _reason(traces, DriftCause.MISSED, "No event that we received named it, although we were running.")


def _first(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


_RULES = (
    _local,
    _failed,
    _restored,
    _late,
    _mapping,
    _stale,
    _whole_failed,
    _whole_late,
    _refused,
    _down,
    _too_early,
    _silent,
)
