"""What every flow is given: the parts, chosen once by ``wiring``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from app.domain import TALLYHOOK, ItemKey, Who
from app.errors import Refused
from app.rules.guard.guard import Limits
from app.sources.base import Source
from app.stores.sql.engine import Database
from app.stores.upkeep.marks import Witness


class Queue(Protocol):
    """The way to tell workers to hurry. It may lose everything: the database knows what is owed."""

    def enqueue(self, keys: Sequence[ItemKey]) -> None:
        """One message per item; never raises and never blocks for long."""

    def enqueue_run(self, run_id: int) -> None:
        """A message for a bulk run."""

    def enqueue_replay(self, replay_id: int) -> None:
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


def source_of(deps: Deps, connection: str) -> Source:
    """The connection's source; raises ``Refused`` naming those there are."""
    source = deps.sources.get(connection)
    if source is None:
        raise Refused(f"no connection {connection!r}; there are {', '.join(sorted(deps.sources)) or 'none'}")
    return source
