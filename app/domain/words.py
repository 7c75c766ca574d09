"""The words for what may change: kinds, items, changes and their causes, and what a complete read speaks for."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec


class Kind(StrEnum):
    """The kinds of thing a source can have; each is one table."""

    PRODUCT = "product"
    STOCK = "stock"
    ORDER = "order"
    LOCATION = "location"
    VENDOR = "vendor"
    CATEGORY = "category"


WHOLE = "*"
"""External id that means "something of this kind may have changed: look from the watermark"."""

SKU_PREFIX = "sku:"
"""External ids that begin so name a product by its public SKU, not by the source's record id."""


class Cause(StrEnum):
    """Why we think that an item may have changed."""

    WEBHOOK = "webhook"
    POLL = "poll"
    LOOKUP = "lookup"
    STORM = "storm"
    REPLAY = "replay"
    PERSON = "person"
    RECONCILE = "reconcile"


class Verdict(StrEnum):
    """What an authentic delivery was taken for. Only an accepted one makes us owe anything."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"
    FOREIGN = "foreign"
    TEST = "test"


class ConnectionState(StrEnum):
    """How a connection is: ``refused`` (the vendor does not accept our credentials), ``unanswered`` (it does not
    answer) or ``paused`` (by a person); ``forbidden`` is a kind of it that the credentials may not read (a kind
    can be ``unanswered`` too)."""

    OK = "ok"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    PAUSED = "paused"
    FORBIDDEN = "forbidden"


class Ref(NamedTuple):
    """One item inside one connection."""

    kind: Kind
    external_id: str


class ItemKey(NamedTuple):
    """One item of one connection: the key of an owed item and the whole content of a message."""

    connection: str
    kind: Kind
    external_id: str


class Change(msgspec.Struct, frozen=True):
    """This item of this kind may have changed. ``version`` is a hint, 0 when unknown."""

    kind: Kind
    external_id: str
    version: int = 0


class Mentioned(NamedTuple):
    """An object by which listings are told (``Listing.mentions``) has changed; ``version`` is its own, 0 when unknown."""

    external_id: str
    version: int = 0


class Absent(StrEnum):
    """What it means when a complete read does not show a row that we hold."""

    DELETED = "deleted"
    ZERO = "zero"


class Scope(NamedTuple):
    """What a complete read speaks for: live rows of ``kind``, all of them or those where field = value.

    ``absent`` says what becomes of a row inside the scope that the read did not show, ``changed`` when the source says
    that it came to that.
    """

    kind: Kind
    field: str | None = None
    value: str | None = None
    absent: Absent = Absent.DELETED
    changed: datetime | None = None
