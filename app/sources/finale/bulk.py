"""Products and orders as far as they were modified in a period, month by month, so that the read can be resumed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec import structs

from app.domain import Kind, Page
from app.sources.base import ResumeLost, place_of
from app.sources.finale.feeds import Orders, Products
from app.sources.finale.windows import SECOND, Walk
from app.sources.labels import numbered, of_month
from app.sources.period import Period


class Place(msgspec.Struct, frozen=True):
    """A place in a read: everything last updated before ``start`` has been read. ``read`` names the read."""

    read: str
    start: datetime


@dataclass(frozen=True)
class Bulk:
    """Reads one kind into one feed, by windows of one walk."""

    kind: Kind
    period: Period
    feed: Products | Orders
    walk: Walk

    def resumed(self, resume: str) -> Iterator[Page]:
        """The months from a token's place on; raises ``ResumeLost`` for a token of another read."""
        place = place_of(resume, Place)
        if place.read != self._read:
            raise ResumeLost(f"a place in another read than this one of {self.kind}")
        return self.months(place.start)

    def months(self, start: datetime) -> Iterator[Page]:
        """Everything updated from ``start`` on. The last page of each window has a token that continues after it."""
        until = None if self.period.until is None else self.period.until + SECOND
        for window, reply in self.walk.months(start, until):
            place = Place(self._read, window.upper)
            label = of_month(self.kind, window.lower)
            yield from _closed(self.feed.pages(reply), label, msgspec.json.encode(place).decode())

    @property
    def _read(self) -> str:
        return f"{self.kind} {self.period.since} {self.period.until}"


def pages(kind: Kind, unnumbered: Iterable[Page], expected: int | None = None) -> Iterator[Page]:
    """The pages with their numbers; ``expected`` is the number of records of the whole read."""
    for number, page in enumerate(unnumbered, 1):
        yield structs.replace(page, label=numbered(kind, number), expected=expected)


def _closed(window_pages: Iterator[Page], label: str, resume: str) -> Iterator[Page]:
    """Only the last page of a window has the token; a window without records has one empty page."""
    held = next(window_pages, Page())
    for page in window_pages:
        yield structs.replace(held, label=label)
        held = page
    yield structs.replace(held, label=label, resume=resume)
