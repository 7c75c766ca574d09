"""What a source gives back: pages of a read, answers about items, and webhook deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from app.domain.records import Record
from app.domain.words import Change, Kind, Mentioned, Ref, Scope, Verdict


class BadRecord(msgspec.Struct, frozen=True):
    """A record that the source shows but that we cannot read; its neighbours are not concerned.

    ``external_id`` is what its row's key begins with, so that rows of it can be told from vanished ones; for an item that
    cannot be read at all it is the item's, and stands for all rows of it. It is empty where not even that is readable.
    ``item_id`` is the id of the item that has to be fetched for it (what a ``Ref`` would name),
    empty where that is the same. ``error`` is one sentence that names the object, the field, what stands there and what
    was expected.
    """

    kind: Kind
    external_id: str
    error: str
    item_id: str = ""

    @property
    def owner(self) -> str:
        """The id of the item that it belongs to: what an owed item of it is called."""
        return self.item_id or self.external_id


class Page(msgspec.Struct, frozen=True):
    """One page of a read.

    ``failed`` are the records of the page that could not be read: shown, so not vanished, but not known either.

    ``records`` are complete and versioned and may be applied as they are; ``changes`` only name items
    that need a fetch of their own. ``mentioned`` are objects by which listings are told and that changed: those listings
    have to be read again, though they themselves have not changed. ``watermark`` (the source's clock, opaque to everyone
    else) and ``complete`` come with the last page only: the whole feed is behind us.

    ``label`` is what a person who watches reads ("Products updated 2021-03"), ``expected`` the number of records in
    the whole read where the source knows it. ``resume`` is opaque: a read that is given it goes on after this page.
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
    """What a source said about the items it was asked for.

    ``gone`` items do not exist there (any more); ``not_yet`` ones are known but not readable yet
    (read-after-webhook lag) and must be asked for again; ``covers`` are the scopes read completely. ``failed`` are the
    records that could not be read.
    """

    records: Sequence[Record] = ()
    gone: Sequence[Ref] = ()
    not_yet: Sequence[Ref] = ()
    covers: Sequence[Scope] = ()
    failed: Sequence[BadRecord] = ()


class Delivery(msgspec.Struct, frozen=True):
    """One verified and parsed webhook delivery. An unknown type has ``ignored`` set and no changes.

    ``set_aside`` says that an authentic delivery is not ours to follow: it is about another merchant's account
    (``FOREIGN``) or a vendor's test event (``TEST``). Like an ignored one it is recorded and never owed.

    ``alarm`` says that the connection may not work any more (the vendor took our access away): it is checked at once.
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
        """What the delivery was taken for."""
        return self.set_aside or (Verdict.IGNORED if self.ignored else Verdict.ACCEPTED)
