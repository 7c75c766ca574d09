"""Why a run found a difference, and since when it was there: told from what was kept of the row, never guessed at.

Each answer is a cause, the two moments between which our copy became wrong, and a sentence with the trace it is told
from. What the traces do not tell is unknown, and the sentence says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class DriftCause(StrEnum):
    """The answer to "why was this row wrong?"."""

    MISSED = "missed"
    LATE = "late"
    FAILED = "failed"
    LOCAL = "local"
    RESTORED = "restored"
    MAPPING = "mapping"
    STALE = "stale"
    DOWN = "down"
    REFUSED = "refused"
    UNKNOWN = "unknown"


SLACK = timedelta(seconds=60)
"""How far a vendor's clock and ours, and an edit and its delivery, may lie apart."""

UNDER_WAY = timedelta(minutes=2)
"""A change so short a time before a read began may have an event that is still on its way."""

DELIVERED = timedelta(minutes=5)
"""Within so long a vendor sends the delivery of a change, first tries counted."""


class Span(NamedTuple):
    """From one moment to another."""

    began: datetime
    ended: datetime

    def has(self, moment: datetime, slack: timedelta = SLACK) -> bool:
        """Whether a moment lies in it."""
        return self.began - slack <= moment <= self.ended + slack


class Told(NamedTuple):
    """What is known of a trace: since when (never before), and what it is in words."""

    since: datetime
    words: str


class Restore(NamedTuple):
    """A backup of ``back_to`` was restored between ``lost`` and ``found``: of ``everything``, or of the kind's table."""

    back_to: datetime
    lost: datetime
    found: datetime
    everything: bool = True


class Answered(NamedTuple):
    """What came of the last change that we heard of: ``heard`` when it was heard of, ``at`` when it was settled."""

    outcome: str
    cause: str
    heard: datetime
    at: datetime


@dataclass(frozen=True)
class Traces:
    """What is known of a differing row.

    ``change`` is ``missing``, ``differs`` or ``vanished``; ``read_at`` is when the read that found it began,
    ``found_at`` when the difference was written down. ``changed`` is when the source says that it last changed the
    row, ``newer`` whether its version is ahead of ours (``None`` where versions do not tell). ``right_at`` is when
    our copy was last known to be right, ``written_at`` when our row was last written. ``content_only`` says that what
    differs can come from how a record is read, ``alone_in_fields`` that none of several others differs in these fields.
    The others are the traces themselves.
    """

    change: str
    read_at: datetime
    found_at: datetime
    changed: datetime | None = None
    newer: bool | None = None
    right_at: datetime | None = None
    written_at: datetime | None = None
    edited: bool = False
    removed: datetime | None = None
    failing: Told | None = None
    waiting: datetime | None = None
    whole_failing: Told | None = None
    whole_waiting: datetime | None = None
    answered: Answered | None = None
    restores: Sequence[Restore] = ()
    mapping: Span | None = None
    content_only: bool = True
    alone_in_fields: bool = False
    downs: Sequence[Span] = field(default=())
    not_looked: datetime | None = None
    refused: Sequence[datetime] = ()
    refused_by_name: Sequence[datetime] = ()

    @property
    def shows(self) -> bool:
        """Whether a delta would have shown it: a silent edit and a deletion leave no trace there."""
        return self.newer is not False and self.change != "vanished"

    @property
    def happened(self) -> datetime | None:
        """When the source changed, where that can be the change that our copy lacks: what was last changed before our
        copy was right is another one, and the one we lack left no trace in the source's times."""
        if self.changed is None or self.change == "vanished":
            return None
        if self.change == "differs" and self.newer is False:
            return None
        return min(self.changed, self.found_at)


class Reason(NamedTuple):
    """Why our copy was wrong, since a moment between ``since`` and ``latest``, told from the trace in ``why``."""

    cause: DriftCause
    since: datetime | None
    latest: datetime
    why: str


def reason_of(traces: Traces) -> Reason:
    """The most specific reason that the traces allow."""
    for rule in _RULES:
        found = rule(traces)
        if found is not None:
            return found
    return _missed(traces)


def _reason(
    traces: Traces, cause: DriftCause, why: str, since: datetime | None = None, latest: datetime | None = None
) -> Reason:
    """With the widest span that is certain, where a rule knows nothing better."""
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
    told = traces.failing or (traces.whole_failing if traces.shows else None)
    if told is None:
        return None
    why = f"We heard of a change and could not bring it in: {told.words}."
    return _reason(traces, DriftCause.FAILED, why, latest=_first(traces.happened, told.since))


def _restored(traces: Traces) -> Reason | None:
    at = traces.happened
    for one in traces.restores if traces.shows or traces.change == "vanished" else ():
        if _is_lost(traces, one) if at is None else Span(one.back_to, one.lost).has(at):
            why = f"A backup was restored here; what came after {one.back_to:%Y-%m-%d %H:%M} UTC was lost."
            return _reason(traces, DriftCause.RESTORED, why, since=max(one.lost, at or one.lost), latest=one.found)
    return None


def _is_lost(traces: Traces, restore: Restore) -> bool:
    """Whether a change without a time can have gone with a backup: where only a table was restored, what we did to the
    row after that is remembered."""
    if traces.waiting is not None:
        return False
    answered = traces.answered
    return restore.everything or (answered is not None and answered.at > restore.back_to)


def went_back(traces: Traces) -> bool:
    """Whether we remember writing what the source shows, and our row is older: its table was restored."""
    at, answered = traces.happened, traces.answered
    if traces.edited or traces.removed is not None:
        return False
    if at is None or answered is None or answered.outcome != "applied" or answered.at < at:
        return False
    return traces.written_at is None or bool(traces.newer and traces.written_at < answered.at)


def _late(traces: Traces) -> Reason | None:
    since = traces.waiting
    if since is None:
        return None
    why = f"The change was owed since {since:%Y-%m-%d %H:%M} UTC and not done yet."
    return _reason(traces, DriftCause.LATE, why, latest=_first(traces.happened, since))


def _whole_late(traces: Traces) -> Reason | None:
    since = traces.whole_waiting
    if since is None or not traces.shows:
        return None
    why = f"A look at the whole kind was owed since {since:%Y-%m-%d %H:%M} UTC and not done yet."
    return _reason(traces, DriftCause.LATE, why)


def _mapping(traces: Traces) -> Reason | None:
    if traces.mapping is None or traces.newer or not traces.content_only or traces.change == "vanished":
        return None
    if traces.alone_in_fields:
        return None
    if traces.change == "missing" and (traces.changed is None or traces.changed > traces.mapping.began):
        return None
    why = "The source shows the same version as before: what changed is how we read it (a new release of ours)."
    return _reason(traces, DriftCause.MAPPING, why, since=traces.mapping.began, latest=traces.mapping.ended)


def _stale(traces: Traces) -> Reason | None:
    answered, at = traces.answered, traces.happened
    if answered is None or (traces.change == "vanished" and answered.outcome != "stale"):
        return None
    if at is None and not (answered.cause == "webhook" and answered.outcome in ("unchanged", "stale")):
        return None
    if at is not None and answered.at < at:
        return None
    why = f"We asked at {answered.at:%Y-%m-%d %H:%M} UTC because of an event, and were answered with an older state."
    return _reason(traces, DriftCause.STALE, why, latest=_first(at, answered.heard))


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
        why = f"Polls are off: nobody looked since {looked:%Y-%m-%d %H:%M} UTC."
        return _reason(traces, DriftCause.DOWN, why)
    return None


CORRECTED_BY_AN_EVENT = frozenset({DriftCause.MISSED, DriftCause.UNKNOWN, DriftCause.DOWN, DriftCause.REFUSED})
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


def _too_early(traces: Traces) -> Reason | None:
    at = traces.happened
    if at is not None and at >= traces.read_at - UNDER_WAY:
        why = "It changed while the run read: its event may still be on its way."
        return _reason(traces, DriftCause.UNKNOWN, why)
    return None


def _missed(traces: Traces) -> Reason:
    return _reason(traces, DriftCause.MISSED, "Nothing that we received named it, and we were there to hear it.")


def _first(*moments: datetime | None) -> datetime | None:
    return min((one for one in moments if one is not None), default=None)


_RULES = (_local, _failed, _restored, _late, _mapping, _stale, _whole_late, _refused, _down, _too_early)
