"""What a source returns: pages of a read, answers about items, and webhook deliveries."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from app.domain.records import Record
from app.domain.words import Change, Kind, Mentioned, Ref, Scope, Verdict


class BadRecord(msgspec.Struct, frozen=True):
    """A record that the source shows but that we cannot read; its neighbours are not affected.

    ``external_id`` is the first part of its row's key, so that the row does not count as vanished. For an item that cannot
    be read at all it is the item's id, and stands for all of its rows. It is empty if not even the id is readable.
    ``item_id`` is the id of the item to fetch for it (as in a ``Ref``), empty if that is the same. ``error`` is one
    sentence with the object, the field, its value and what was expected.
    """

    kind: Kind
    external_id: str
    error: str
    item_id: str = ""

    @property
    def owner(self) -> str:
        """The id of the item that it belongs to, as in owed items."""
        return self.item_id or self.external_id


class Page(msgspec.Struct, frozen=True):
    """One page of a read.

    ``records`` are complete and versioned, and may be applied as they are; ``changes`` only name items that need a fetch
    of their own. ``failed`` are records that could not be read: they were shown, and so have not vanished. ``mentioned``
    are changed objects that listings mention: these listings must be read again, though they have not changed
    themselves. Only the last page has ``watermark`` (the source's clock, opaque to everyone else) and ``complete``.

    ``label`` describes the page to a person ("Products updated 2021-03"). ``expected`` is the number of records in the
    whole read, if the source knows it. ``resume`` is opaque: a read that gets it goes on after this page.
    """

    records: Sequence[Record] = ()
    changes: Sequence[Change] = ()
    watermark: str | None = None
    complete: Scope | None = None
    label: str | None = None
    resume: str | None = None
    expected: int | None = None
    failed: Sequence[BadRecord] = ()
    mentioned: Sequence[Mentioned] = ()


class Answer(msgspec.Struct, frozen=True):
    """A source's answer about the items that were fetched.

    ``gone`` items do not exist there (any more). ``not_yet`` items are known but not readable yet (read-after-webhook
    lag), and must be fetched again. ``covers`` are the scopes read completely, ``failed`` the records that could not be
    read.
    """

    records: Sequence[Record] = ()
    gone: Sequence[Ref] = ()
    not_yet: Sequence[Ref] = ()
    covers: Sequence[Scope] = ()
    failed: Sequence[BadRecord] = ()


class Delivery(msgspec.Struct, frozen=True):
    """One verified and parsed webhook delivery. One of an unknown type is ``ignored`` and has no changes.

    ``set_aside`` marks an authentic delivery that is not for us: about another merchant's account (``FOREIGN``) or a
    vendor's test event (``TEST``). Like an ignored one it is recorded and never owed. ``alarm`` says that the connection
    may be broken (the vendor has revoked our access): it is checked at once.
    """

    event_id: str
    type: str
    changes: Sequence[Change] = ()
    ignored: bool = False
    occurred_at: datetime | None = None
    set_aside: Verdict | None = None
    alarm: bool = False

    @property
    def verdict(self) -> Verdict:
        """How the delivery was classified."""
        return self.set_aside or (Verdict.IGNORED if self.ignored else Verdict.ACCEPTED)


class Spot(NamedTuple):
    """Where a count stands: its location and its state."""

    location_id: str
    state: str


class PastChange(NamedTuple):
    """A change of a count by the source's own record: by ``quantity``, or to it where it was ``counted``. It occurred at one
    moment, and the source received it at another, later one."""

    listing_id: str
    spot: Spot
    quantity: Decimal
    counted: bool
    occurred_at: datetime
    received_at: datetime


class BadPast(NamedTuple):
    """A record of a past change that cannot be read: what was before it is not known. ``listing_id`` is empty where it may
    be any, ``occurred_at`` is ``None`` where it may be any moment."""

    listing_id: str
    occurred_at: datetime | None
    error: str


class PastPage(NamedTuple):
    """Some of the past changes that a source keeps, in any order."""

    changes: Sequence[PastChange] = ()
    failed: Sequence[BadPast] = ()
