"""The parts that every flow works with, chosen once by ``wiring``."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from app.domain import TALLYHOOK, ItemKey, Kind, Principal
from app.errors import NotFound
from app.rules.access.encryption import Encryption
from app.rules.guard.guard import Limits
from app.sources.base import Source
from app.stores.search import SearchIndex
from app.stores.sql.engine import DATABASE_ERRORS as DATABASE_ERRORS
from app.stores.sql.engine import Database as Database
from app.stores.sql.time_limits import TimeLimit as TimeLimit
from app.stores.upkeep.marks import Witness


class Queue(Protocol):
    """Sends messages to workers. It may lose all of them: the database knows what is owed."""

    def enqueue(self, keys: Sequence[ItemKey]) -> None:
        """Send messages for items; never raises and never blocks for long."""

    def enqueue_run(self, run_id: int) -> None:
        """Send a message for a bulk run."""

    def enqueue_replay(self, replay_id: int) -> None:
        """Send a message for a replay."""

    def resend(self, actor: str, queue: str, args: Sequence[object], *, id: str | None = None) -> None:
        """Send a dead letter's message again, if it is about no item; raises ``Unavailable``.

        However often a message is sent under one ``id``, it becomes one dead letter at most."""

    def depth(self) -> int:
        """How many messages wait; -1 if the broker does not answer."""


class HostClock(Protocol):
    """Compares this host's clock with the database's, which is the reference."""

    def measure(self) -> None:
        """Measure the difference, outside of a transaction; never raises."""

    def skew(self) -> float:
        """Seconds by which the host is ahead of the database, negative when it is behind."""


class Turns:
    """Lets the threads of this process judge a kind of a connection one after the other.

    At the same time, each would judge its rows together with those that wait, and all but one of them in vain: every
    judgement changes the rows that wait.
    """

    def __init__(self) -> None:
        self._locks: dict[tuple[str, Kind], threading.Lock] = {}

    def of(self, connection: str, kind: Kind) -> threading.Lock:
        """The lock of a kind."""
        return self._locks.setdefault((connection, kind), threading.Lock())


def utc_now() -> datetime:
    """The host's clock, for use without a database."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Deps:
    """The parts a flow works with. ``sources`` serve live items, ``bulk_sources`` wait for budgets.

    ``principal`` is the person or program on whose behalf they are used: the audit log names it, and it limits what is
    shown. ``mail`` sends a subject and a plain text to the people in charge (raises ``Unavailable``), who find the pages at
    ``public_url``. ``now`` is the database's clock, and ``host`` measures how far this machine is from it. ``redact``
    removes every known secret from a text before it is stored, logged or shown. ``credentials`` has a one-way digest of
    each connection's options: a new digest means that somebody changed them. ``witness`` remembers how far the database
    had come, to notice a restored backup. ``search`` is this host's index of what listings are called. ``turns`` has the
    locks with which this process's threads judge doubtful rows one after the other. ``encryption`` has the key of the
    secrets that the database keeps.
    """

    database: Database
    queue: Queue
    sources: Mapping[str, Source]
    bulk_sources: Mapping[str, Source]
    worker: str = "local"
    limits: Limits = field(default_factory=Limits)
    now: Callable[[], datetime] = utc_now
    principal: Principal = TALLYHOOK
    redact: Callable[[str], str] = str
    mail: Callable[[str, str], None] | None = None
    public_url: str | None = None
    host: HostClock | None = None
    credentials: Mapping[str, str] = field(default_factory=dict)
    witness: Witness = field(default_factory=Witness)
    search: SearchIndex = field(default_factory=SearchIndex)
    turns: Turns = field(default_factory=Turns)
    encryption: Encryption = field(default_factory=lambda: Encryption(None))


def can_see(deps: Deps, connection: str) -> bool:
    """Whether a connection is configured and the caller may see it: the only rule of this sort, for web, commands and
    workers."""
    return connection in deps.sources and deps.principal.can_see(connection)


def visible_connections(deps: Deps) -> list[str]:
    """The slugs of the connections that the caller can see, in order."""
    return sorted(slug for slug in deps.sources if can_see(deps, slug))


def check_visible(deps: Deps, connection: str) -> None:
    """Raise ``NotFound``, naming those there are, for a connection that the caller cannot see."""
    if not can_see(deps, connection):
        there = ", ".join(visible_connections(deps)) or "none"
        raise NotFound(f"no connection {connection!r}; use one of: {there}", "connection")


def source_of(deps: Deps, connection: str) -> Source:
    """The connection's source; raises ``NotFound`` naming the connections that the caller can see."""
    check_visible(deps, connection)
    return deps.sources[connection]


def with_time_limit(deps: Deps, seconds: float) -> tuple[Deps, TimeLimit]:
    """The same parts with a database whose statements end after ``seconds`` altogether (``TakesTooLong``), and the limit,
    which can be ended before."""
    limit = TimeLimit(seconds)
    return replace(deps, database=deps.database.limited(limit)), limit
