"""A bulk run: its strategy, its options as people write them, its status."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum

import msgspec


class Strategy(StrEnum):
    """What a run reads. ``daily`` is every slow data type in one run, ``retry`` the items that failed before."""

    CRITICAL = "critical"
    INVENTORY = "inventory"
    INCREMENTAL = "incremental"
    ACTIVE = "active"
    CATEGORY = "category"
    FULL = "full"
    ORDERS = "orders"
    CATALOG = "catalog"
    LOCATIONS = "locations"
    CATEGORIES = "categories"
    VENDORS = "vendors"
    DAILY = "daily"
    RETRY = "retry"
    SMART = "smart"


class Status(StrEnum):
    """The state of a run: ``idle`` while it waits for a worker, ``running``, or how it ended."""

    IDLE = "idle"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


_OLDER: Mapping[str, Status] = {
    "pending": Status.IDLE,
    "in_progress": Status.RUNNING,
    "in-progress": Status.RUNNING,
    "in progress": Status.RUNNING,
    "complete": Status.COMPLETED,
    "success": Status.COMPLETED,
    "error": Status.FAILED,
    "canceled": Status.CANCELLED,
}


STATUS_SPELLINGS = (*Status, *_OLDER)
"""Every accepted spelling of a status."""


def status_of(text: str) -> Status:
    """The status for a spelling in any case, also an older one (``in_progress``, ``Complete``); raises ``ValueError``."""
    spelled = text.strip().lower()
    return _OLDER[spelled] if spelled in _OLDER else Status(spelled)


class Options(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """The options of a run; people write them in camel case (``dryRun``).

    ``filter_year`` and ``modified_since`` select records by their last modification; ``first`` and ``last`` (``from`` and
    ``to``) are business days, both included. ``limit`` ends the run after that many records. ``force`` writes even what the
    guard would hold. ``deep`` confirms every deletion one by one. ``category`` is an id, a name or a path.
    """

    dry_run: bool = False
    filter_year: int | None = None
    modified_since: datetime | None = None
    active_only: bool = False
    force: bool = False
    limit: int | None = None
    deep: bool = False
    category: str | None = None
    first: date | None = msgspec.field(default=None, name="from")
    last: date | None = msgspec.field(default=None, name="to")

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError('"limit" must be at least 1')
        if self.filter_year is not None and not 1990 <= self.filter_year <= 2100:
            raise ValueError('"filterYear" must be a year like 2026')
        if self.modified_since is not None and self.modified_since.tzinfo is None:
            raise ValueError('"modifiedSince" must say its time zone, like 2026-11-22T00:00:00Z')
        if self.first is not None and self.last is not None and self.first > self.last:
            raise ValueError('"from" must not be after "to"')

    @property
    def since(self) -> datetime | None:
        """Records modified before this are left out: the later of the year's begin and ``modified_since``."""
        year = datetime(self.filter_year, 1, 1, tzinfo=UTC) if self.filter_year is not None else None
        return max((moment for moment in (year, self.modified_since) if moment is not None), default=None)

    @property
    def until(self) -> datetime | None:
        """Records modified after this are left out."""
        if self.filter_year is None:
            return None
        return datetime(self.filter_year, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)

    @property
    def partial(self) -> bool:
        """Whether the options leave out a part of what the strategy reads."""
        return self.since is not None or self.active_only or self.limit is not None
