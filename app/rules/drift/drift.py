"""The causes of a difference, the traces of a row, and the reason that follows from them."""

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
"""How far a vendor's clock and ours, and an edit and its delivery, may be apart."""


class Span(NamedTuple):
    """The time from one moment to another."""

    began: datetime
    ended: datetime

    def has(self, moment: datetime, slack: timedelta = SLACK) -> bool:
        """Whether a moment is inside it, or at most ``slack`` outside."""
        return self.began - slack <= moment <= self.ended + slack


class Evidence(NamedTuple):
    """A trace that something failed: the earliest moment of it, and a description."""

    since: datetime
    words: str


class Restore(NamedTuple):
    """A backup of ``back_to`` was restored between ``lost`` and ``noticed``: of ``everything``, or of one kind's table."""

    back_to: datetime
    lost: datetime
    noticed: datetime
    everything: bool = True


class SettledChange(NamedTuple):
    """A change that we heard of at ``heard`` and settled at ``at``, with its outcome."""

    outcome: str
    cause: str
    heard: datetime
    at: datetime


@dataclass(frozen=True)
class Traces:
    """The traces of a differing row.

    ``change`` is ``missing``, ``differs`` or ``vanished``; ``read_at`` is when the read that found it began, ``found_at``
    when the difference was written down. ``changed`` is when the source says that it last changed the row, ``newer`` whether
    its version is ahead of ours (``None`` if versions cannot say). ``right_at`` is when our copy was last known to be right,
    ``written_at`` when our row was last written. ``content_only`` says that the difference can come from how we map a
    record, ``alone_in_fields`` that none of several others differs in these fields. ``looks`` is when reads of the whole
    kind began that were applied. The other fields are the traces themselves.
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
    failing: Evidence | None = None
    waiting: datetime | None = None
    whole_failing: Evidence | None = None
    whole_waiting: datetime | None = None
    settled: SettledChange | None = None
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
        """Whether a delta would have shown the change: it shows no silent edit and no deletion."""
        return self.newer is not False and self.change != "vanished"

    @property
    def happened(self) -> datetime | None:
        """When the source changed the row, if that can be the change that our copy lacks: a silent edit or a deletion leaves
        no trace in the source's times."""
        if self.changed is None or self.change == "vanished":
            return None
        if self.change == "differs" and self.newer is False:
            return None
        return min(self.changed, self.found_at)


class Reason(NamedTuple):
    """Why our copy was wrong, since a moment between ``since`` and ``latest``; ``why`` is a sentence with the trace."""

    cause: DriftCause
    since: datetime | None
    latest: datetime
    why: str
