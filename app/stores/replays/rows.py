"""Replays and their members as typed rows."""

from datetime import datetime

import msgspec

from app.domain import ItemKey, Kind


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
