"""A bulk read by cursor that can be taken up again after any of its pages, in another process too.

Square's cursors are bound to the body of their query and live about five minutes after their last use, so a place
that is older, or of another query, is lost: the read begins again (``ResumeLost``).
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from app.domain import Kind, Page
from app.errors import VendorRefused
from app.sources import base
from app.sources.base import ResumeLost
from app.sources.labels import numbered
from app.sources.square import wire

CURSOR_LIFE = timedelta(minutes=5)

Read = Callable[[wire.Reply], Page]
"""What a reply shows, as a page."""

Mark = Callable[[wire.Reply, datetime], str | None]
"""The watermark that a reply gives, if any; the other argument is our clock."""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in a read: ``page`` pages have been read, ``cursor`` continues query number ``part``.

    Without a cursor the part begins; after the last part only the last page is left. ``given`` is when the cursor
    came. ``span`` (both ends of an order search) and ``mark`` (the watermark seen) belong to the time the whole read
    began.
    """

    query: str
    given: datetime
    page: int = 0
    part: int = 0
    cursor: str | None = None
    span: tuple[str, str] | None = None
    mark: str | None = None


def place_of(resume: str | None) -> Place | None:
    """The place that a token encodes, ``None`` for no token; raises ``ResumeLost`` for any other text."""
    return None if resume is None else base.place_of(resume, Place)


class Walk:
    """The pages made of the replies to some queries, one query after the other.

    ``ask`` gives the replies to one query, from a cursor on if there is one; ``read`` names the read, so that another
    read's token is refused. ``mark`` is the watermark that the replies so far give.
    """

    def __init__(
        self,
        kind: Kind,
        read: str,
        ask: Callable[[wire.Json, str | None], Iterator[wire.Reply]],
        bodies: Sequence[wire.Json],
        place: Place | None,
        now: Callable[[], datetime],
        span: tuple[str, str] | None = None,
    ) -> None:
        self.mark = place.mark if place else None
        self._kind = kind
        self._ask = ask
        self._bodies = bodies
        self._now = now
        self._place = place or Place("", now())
        self._resumed = place is not None
        self._query = _digest(f"{kind} {read}", bodies)
        self._span = span

    def pages(self, page_of: Read, mark: Mark = lambda reply, now: None) -> Iterator[Page]:
        """A page for every reply from the place on. Raises ``ResumeLost`` before the first one."""
        for reply in self._replies():
            self.mark = self.mark or mark(reply, self._now())
            page = page_of(reply)
            token = msgspec.json.encode(replace(self._place, mark=self.mark)).decode()
            yield replace(page, label=numbered(self._kind, self._place.page), resume=token)

    def _replies(self) -> Iterator[wire.Reply]:
        self._refuse_lost()
        start = self._place
        for part in range(start.part, len(self._bodies)):
            cursor = start.cursor if part == start.part else None
            for reply in self._after(cursor, self._bodies[part]):
                self._step(part, reply)
                yield reply

    def _refuse_lost(self) -> None:
        if not self._resumed:
            return
        if self._place.query != self._query:
            raise ResumeLost(f"a place in another read than this one of {self._kind}")
        age = self._now() - self._place.given
        if self._place.cursor is not None and age > CURSOR_LIFE:
            raise ResumeLost(f"the cursor is {age.total_seconds():.0f} s old, Square's live for 300")

    def _after(self, cursor: str | None, body: wire.Json) -> Iterator[wire.Reply]:
        replies = self._ask(body, cursor)
        if cursor is not None:
            try:
                yield next(replies)
            except (wire.CursorRefused, VendorRefused) as error:
                raise ResumeLost(f"Square does not take the cursor any more ({error})") from error
        yield from replies

    def _step(self, part: int, reply: wire.Reply) -> None:
        self._place = Place(
            query=self._query,
            given=self._now(),
            page=self._place.page + 1,
            part=part if reply.cursor else part + 1,
            cursor=reply.cursor or None,
            span=self._span,
        )


def _digest(read: str, bodies: Sequence[wire.Json]) -> str:
    """The queries' digest: another location or another period is another read."""
    return blake2b(msgspec.json.encode([read, list(bodies)], order="deterministic"), digest_size=12).hexdigest()
