"""Replays and their members as typed rows, and reads replays back."""

from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select

from app.domain import ItemKey, Kind
from app.stores import tables
from app.stores.sql.matching import newest


class ReplayRow(msgspec.Struct, frozen=True, kw_only=True):
    """A replay without its lease; the columns are explained at ``tables.Replay``."""

    id: int
    name: str
    of: str
    filter: str
    status: str
    rate: int
    canary: bool
    reason: str | None
    letters: int
    items: int
    asked_by: str
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Member(msgspec.Struct, frozen=True):
    """A member of a replay: an item, or a message about no item, which has a ``letter_id`` and empty texts."""

    id: int
    connection: str
    kind: str
    external_id: str
    letter_id: int

    @property
    def key(self) -> ItemKey:
        """The item."""
        return ItemKey(self.connection, Kind(self.kind), self.external_id)


class ItemKind(msgspec.Struct, frozen=True):
    """A kind of a connection's items."""

    connection: str
    kind: str

    @property
    def names(self) -> set[str]:
        """The names under which it may be said that it cannot be read: the connection's, and its own."""
        return {self.connection, f"{self.connection}/{self.kind}"}


class Progress(msgspec.Struct, frozen=True):
    """How many members of a replay are in each state; the states are explained at ``tables.ReplayItem``."""

    waiting: int = 0
    sending: int = 0
    sent: int = 0
    done: int = 0
    failed: int = 0
    left: int = 0
    skipped: int = 0

    @property
    def unfinished(self) -> int:
        """Members that wait for their turn or are on their way."""
        return self.waiting + self.sending + self.sent

    def nonzero(self) -> dict[str, int]:
        """The states in which there are members."""
        return {state: count for state, count in msgspec.structs.asdict(self).items() if count}


STATES = Progress.__struct_fields__


class Skipped(msgspec.Struct, frozen=True):
    """How many members of a connection were skipped, and why."""

    connection: str
    items: int
    why: str


_REPLAYS = tables.core(tables.Replay)
_ITEMS = tables.core(tables.ReplayItem)
_SELECT = select(*(_REPLAYS.c[name] for name in ReplayRow.__struct_fields__))


def get(conn: Connection, id: int) -> ReplayRow | None:
    """One replay, without its members."""
    row = conn.execute(_SELECT.where(_REPLAYS.c.id == id)).mappings().first()
    return None if row is None else ReplayRow(**row)


def latest(conn: Connection, *, limit: int = 50, before_id: int | None = None) -> list[ReplayRow]:
    """Replays, newest first; ``before_id`` continues after the last one of the previous page."""
    query = newest(_SELECT, _REPLAYS.c.id, limit, before_id)
    return [ReplayRow(**row) for row in conn.execute(query).mappings()]


def connections(conn: Connection, id: int) -> set[str]:
    """The connections whose items are members."""
    return set(conn.execute(select(func.distinct(_ITEMS.c.connection)).where(_ITEMS.c.replay_id == id)).scalars())
