"""The causes of a difference, the traces that are kept of a row, and the reason that is told from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class DriftCause(StrEnum):
    """The answer to "why was this row wrong?"."""

    MISSED = "missed"
    SILENT = "silent"
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
    ``looks`` is when looks at the whole kind began that brought what they showed. The others are the traces themselves.
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
    looks: Sequence[datetime] = ()
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
