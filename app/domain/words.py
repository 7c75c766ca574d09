"""Kinds, items, changes and their causes, and the scopes of complete reads."""

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


ALL_ITEMS = "*"
"""External id that means "anything of this kind may have changed: read from the watermark on"."""

SKU_PREFIX = "sku:"
"""An external id with this prefix names a product by its public SKU, not by the source's record id."""


class Cause(StrEnum):
    """Why we think that an item may have changed."""

    WEBHOOK = "webhook"
    POLL = "poll"
    LOOKUP = "lookup"
    STORM = "storm"
    REPLAY = "replay"
    PERSON = "person"
    RECONCILE = "reconcile"


UNKNOWN_WRITER = "unknown"
FIRST_LOAD_WRITER = "first load"
"""``written_by`` of a catalog row says what brought its content: a ``Cause``, ``run N``, ``hold N`` (which a person
applied), or this for a row of a kind's first load."""


class Verdict(StrEnum):
    """How an authentic delivery is classified; only an accepted one owes items."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"
    FOREIGN = "foreign"
    TEST = "test"


class ConnectionState(StrEnum):
    """The health of a connection: ``ok``, ``refused`` (the vendor does not accept our credentials), ``unanswered`` (it does
    not answer) or ``paused`` (by a person). A kind of it can be ``forbidden`` (the credentials may not read it) or
    ``unanswered``."""

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
    """An object that listings mention (``Listing.mentions``) has changed; ``version`` is its own, 0 when unknown."""

    external_id: str
    version: int = 0


class MissingPolicy(StrEnum):
    """What happens to a row that a complete read does not show."""

    DELETED = "deleted"
    ZERO = "zero"


class Scope(NamedTuple):
    """The live rows that a complete read covers: all of ``kind``, or those where field = value.

    ``absent`` says what happens to a row inside the scope that the read did not show, ``changed`` when the source says
    that this happened.
    """

    kind: Kind
    field: str | None = None
    value: str | None = None
    absent: MissingPolicy = MissingPolicy.DELETED
    changed: datetime | None = None
