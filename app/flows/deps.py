"""What every flow is given: the parts, chosen once by ``wiring``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from app.domain import TALLYHOOK, ItemKey, Who
from app.errors import NotFound
from app.rules.guard.guard import Limits
from app.sources.base import Source
from app.stores.sql.engine import DATABASE_ERRORS, Database
from app.stores.sql.time_limits import TimeLimit
from app.stores.upkeep.marks import Witness

__all__ = [
    "DATABASE_ERRORS",
    "Database",
    "Deps",
    "HostClock",
    "Queue",
    "TimeLimit",
    "can_see",
    "check_visible",
    "source_of",
    "utc_now",
    "visible_connections",
    "with_time_limit",
]


class Queue(Protocol):
    """The way to tell workers to hurry. It may lose everything: the database knows what is owed."""

    def wake(self, keys: Sequence[ItemKey]) -> None:
        """One message per item; never raises and never blocks for long."""

    def wake_run(self, run_id: int) -> None:
        """A message for a bulk run."""

    def wake_replay(self, replay_id: int) -> None:
        """A message for a replay."""

    def resend(self, actor: str, queue: str, args: Sequence[object], *, id: str | None = None) -> None:
        """A message as it was, for the replay of a dead letter that is no item; raises ``Unavailable``.

        Under one ``id`` it becomes one dead letter at most, however often it is sent."""

    def depth(self) -> int:
        """Messages waiting; -1 when the broker cannot be asked."""


class HostClock(Protocol):
    """How this host's clock compares with the one clock, the database's."""

    def measure(self) -> None:
        """Compare them; in no transaction, and never raising."""

    def skew(self) -> float:
        """Seconds by which the host is ahead of the database, negative when it is behind."""


def utc_now() -> datetime:
    """The host's clock, for where there is no database to ask."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Deps:
    """The parts a flow works with. ``sources`` serve live items, ``bulk_sources`` have patience for budgets.

    ``who`` is on whose behalf they are used: the audit log names it, and answers are limited to what it may see.
    ``mail`` sends a subject and a plain text to the people in charge (raises ``Unavailable``), ``public_url`` is where
    they find the pages. ``now`` is the database's clock, and ``host`` tells how far this machine is from it. ``redact``
    takes every secret we know out of a text before it is stored, logged or shown. ``credentials`` has a one-way digest
    of each connection's options: another digest means that somebody changed them. ``witness`` remembers how far
    the database had come, to notice a restored backup.
    """

    database: Database
    queue: Queue
    sources: Mapping[str, Source]
    bulk_sources: Mapping[str, Source]
    worker: str = "local"
    limits: Limits = field(default_factory=Limits)
    now: Callable[[], datetime] = utc_now
    who: Who = TALLYHOOK
    redact: Callable[[str], str] = str
    mail: Callable[[str, str], None] | None = None
    public_url: str | None = None
    host: HostClock | None = None
    credentials: Mapping[str, str] = field(default_factory=dict)
    witness: Witness = field(default_factory=Witness)


def can_see(deps: Deps, connection: str) -> bool:
    """Whether a connection is configured and the caller may see it: the one rule of all edges."""
    return connection in deps.sources and deps.who.sees(connection)


def visible_connections(deps: Deps) -> list[str]:
    """The slugs of the connections that the caller can see, in order."""
    return sorted(slug for slug in deps.sources if can_see(deps, slug))


def check_visible(deps: Deps, connection: str) -> None:
    """Raise ``NotFound``, naming those there are, for a connection that the caller cannot see."""
    if not can_see(deps, connection):
        there = ", ".join(visible_connections(deps)) or "none"
        raise NotFound(f"no connection {connection!r}; there are {there}", "connection")


def source_of(deps: Deps, connection: str) -> Source:
    """The connection's source; raises ``NotFound`` naming the connections that the caller can see."""
    check_visible(deps, connection)
    return deps.sources[connection]


def with_time_limit(deps: Deps, seconds: float) -> tuple[Deps, TimeLimit]:
    """The same parts with a database whose statements end after ``seconds`` altogether (``TakesTooLong``), and the limit,
    which can be ended before."""
    limit = TimeLimit(seconds)
    return replace(deps, database=deps.database.limited(limit)), limit
