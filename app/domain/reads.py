"""What a source gives back: pages of a read, answers about items, and webhook deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from app.domain.records import Record
from app.domain.words import Change, Ref, Scope


class Page(msgspec.Struct, frozen=True):
    """One page of a read.

    ``records`` are complete and versioned and may be applied as they are; ``changes`` only name items
    that need a fetch of their own. ``watermark`` (the source's clock, opaque to everyone else) and
    ``complete`` come with the last page only: the whole feed is behind us.

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


class Answer(msgspec.Struct, frozen=True):
    """What a source said about the items it was asked for.

    ``gone`` items do not exist there (any more); ``not_yet`` ones are known but not readable yet
    (read-after-webhook lag) and must be asked for again; ``covers`` are the scopes read completely.
    """

    records: Sequence[Record] = ()
    gone: Sequence[Ref] = ()
    not_yet: Sequence[Ref] = ()
    covers: Sequence[Scope] = ()


class Delivery(msgspec.Struct, frozen=True):
    """One verified and parsed webhook delivery. An unknown type has ``ignored`` set and no changes."""

    event_id: str
    type: str
    changes: Sequence[Change] = ()
    ignored: bool = False
    occurred_at: datetime | None = None
