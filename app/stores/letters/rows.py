"""Dead letters and failed attempts as typed rows."""

from datetime import datetime
from typing import Any

import msgspec

from app.domain import ItemKey, Kind


class Message(msgspec.Struct, frozen=True):
    """The request of an HTTP exchange."""

    headers: dict[str, str]
    body: str


class Response(Message, frozen=True):
    """The response of an HTTP exchange."""

    status: int


class Exchange(msgspec.Struct, frozen=True):
    """The HTTP exchange behind a failure, without secrets; ``at`` is ISO 8601 text, ``response`` ``None`` if none came."""

    method: str
    url: str
    at: str
    ms: int
    request: Message
    response: Response | None


class Attempt(msgspec.Struct, frozen=True):
    """One failed attempt at a message."""

    number: int
    at: datetime
    worker: str
    error_type: str
    error: str
    traceback: str
    exchange: Exchange | None = None


class LetterRow(msgspec.Struct, frozen=True, kw_only=True):
    """What lists and single letters have in common; the columns are explained at ``tables.DeadLetter``."""

    id: int
    message_id: str
    actor: str
    queue: str
    args: list[Any]
    connection: str | None
    kind: str | None
    external_id: str | None
    cause: str | None
    error_type: str
    error: str
    fingerprint: str
    place: str
    first_failed_at: datetime
    died_at: datetime
    state: str
    replays: int
    replayed_at: datetime | None
    replay_id: int | None
    discarded_at: datetime | None
    discarded_by: str | None
    discard_reason: str | None

    @property
    def key(self) -> ItemKey | None:
        """The item that the letter is about, if any."""
        if self.connection is None or self.kind is None or self.external_id is None:
            return None
        return ItemKey(self.connection, Kind(self.kind), self.external_id)


class Letter(LetterRow, frozen=True, kw_only=True):
    """One letter with everything that is known of it."""

    original_args: list[Any] | None
    attempts: list[Attempt]


class ListedLetter(LetterRow, frozen=True, kw_only=True):
    """A letter in a list: ``tries`` is the number of its attempts; a replay of a ``moot`` one would change nothing."""

    tries: int
    moot: bool


class Totals(msgspec.Struct, frozen=True):
    """How many letters, different fingerprints and items match a filter, and how many of the letters are moot."""

    letters: int
    causes: int
    items: int
    moot: int


class CauseGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The letters of one fingerprint (``cause``); ``error`` is that of one of them."""

    cause: str
    connection: str | None
    error_type: str
    place: str
    error: str
    items: int
    letters: int
    moot: int
    first: datetime
    last: datetime


class ItemGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The letters of one item; ``causes`` is the number of different fingerprints, ``error`` that of one letter."""

    connection: str | None
    kind: str | None
    external_id: str | None
    causes: int
    error: str
    letters: int
    moot: int
    first: datetime
    last: datetime
