"""Walks a collection by ``lastUpdatedDate`` in windows that the vendor accepts and that nothing falls out of.

The vendor's rules (support article 115007936708): a range of at most 30 days, both ends given, and never more than 120,000
records: it returns the oldest ones and does not say that others are missing. Its ``offset`` parameter is ignored.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from app.errors import BadAnswer, Unmappable
from app.sources.finale.columnar import Band
from app.sources.finale.wire import MODIFIED, timestamp
from app.sources.values import moment

WIDEST = timedelta(days=30)
AHEAD = timedelta(minutes=5)
"""How far past our clock the last window reaches, so that a vendor clock ahead of ours hides nothing."""
SECOND = timedelta(seconds=1)
HALF_MONTH = timedelta(days=16)
_ZONES = timedelta(days=1)  # a filter in another time zone is still applied; one that is off by more is not


class Window(NamedTuple):
    """A closed range of update times."""

    lower: datetime
    upper: datetime

    @property
    def bounds(self) -> tuple[str, str]:
        """The range as the vendor spells it."""
        return timestamp(self.lower), timestamp(self.upper)


class Span(NamedTuple):
    """What a reply covers: the number of records, the first and last URL, the oldest and newest update time."""

    rows: int
    first: str | None
    last: str | None
    oldest: datetime | None
    newest: datetime | None
    ascending: bool


def span(bands: list[Band], key: str) -> Span:
    """The span of a reply. ``ascending`` says that it came in the order of update times."""
    urls: list[str | None] = []
    edges: list[str] = []
    ascending = True
    for band in bands:
        urls += band.strings(key)[:: max(band.rows - 1, 1)]
        texts = _times(band.strings(MODIFIED))
        ascending = ascending and edges[-1:] + texts == sorted(edges[-1:] + texts)
        edges += (min(texts), max(texts)) if texts else ()
    rows = sum(band.rows for band in bands)
    first, last = (urls[0], urls[-1]) if urls else (None, None)
    times = (moment(min(edges)), moment(max(edges))) if edges else (None, None)
    return Span(rows, first, last, *times, ascending)


def _times(cells: list[str | None]) -> list[str]:
    """The cells that are times; the reader of a record reports a cell that is not."""
    texts = [cell for cell in cells if cell]
    if not texts or (_is_time(min(texts)) and _is_time(max(texts))):
        return texts
    return [text for text in texts if _is_time(text)]


def _is_time(text: str) -> bool:
    try:
        return moment(text) is not None
    except Unmappable:
        return False


def _month_end(at: datetime) -> datetime:
    """When the next month begins."""
    first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


@dataclass
class Walk:
    """One walk towards now, oldest first; it meets a record that is updated meanwhile again further on.

    ``read`` reads one window. A reply of ``row_cap`` records or more may be cut, so its window is halved.
    """

    read: Callable[[Window], list[Band]]
    key: str
    row_cap: int
    now: Callable[[], datetime]
    seen: dict[Span, Window] = field(default_factory=dict)

    def replies(self, start: datetime) -> Iterator[list[Band]]:
        """The replies that were not cut. Raises ``BadAnswer`` when the walk cannot proceed."""
        lower = start.replace(microsecond=0)
        while True:
            last = self._end()
            upper = min(lower + WIDEST, last)
            if upper > lower:
                yield from (reply for _, reply in self._window(Window(lower, upper)))
            if upper >= last:
                return
            lower = upper

    def months(self, start: datetime, end: datetime | None) -> Iterator[tuple[Window, list[Band]]]:
        """The uncut replies with their windows, by calendar months up to ``end`` (``None``: now). Raises as
        ``replies`` does."""
        lower = start.replace(microsecond=0)
        while lower < (last := self._end(end)):
            upper = min(_month_end(lower), last)
            if upper - lower > WIDEST:
                upper = lower.replace(day=1, hour=0, minute=0, second=0) + HALF_MONTH
            yield from self._window(Window(lower, upper))
            if upper == last:  # no further window for the seconds that passed meanwhile
                return
            lower = upper

    def _end(self, wanted: datetime | None = None) -> datetime:
        last = self.now() + AHEAD
        return (last if wanted is None else min(wanted, last)).replace(microsecond=0)

    def _window(self, window: Window) -> Iterator[tuple[Window, list[Band]]]:
        reply = self.read(window)
        covered = span(reply, self.key)
        if covered.rows < self.row_cap:
            self._refuse_repeat(window, covered)
            yield window, reply
            return
        self._refuse_endless(window, covered)
        del reply
        middle = (window.lower + (window.upper - window.lower) / 2).replace(microsecond=0)
        yield from self._window(Window(window.lower, middle))
        # not a second later: the vendor may know fractions that it does not show
        yield from self._window(Window(middle, window.upper))

    def _refuse_repeat(self, window: Window, covered: Span) -> None:
        """Refuse the same records for two windows that share at most an instant: the filter is not applied."""
        before = self.seen.setdefault(covered, window)
        if covered.rows == 0 or before == window:
            return
        shared = covered.oldest == covered.newest in (before.upper, window.lower)
        if not shared:
            raise BadAnswer(f"the same {covered.rows} records for {before.bounds} and for {window.bounds}")

    def _refuse_endless(self, window: Window, covered: Span) -> None:
        where = f"{covered.rows} records for {window.bounds}, at the limit of {self.row_cap}"
        if window.upper - window.lower < 2 * SECOND:
            raise BadAnswer(f"{where}, and no narrower window is possible")
        if covered.oldest is None or covered.newest is None:
            raise BadAnswer(f"{where}, without update times to narrow the window by")
        if covered.oldest < window.lower - _ZONES or covered.newest > window.upper + _ZONES:
            raise BadAnswer(f"{where}, but not of that time: the filter is not applied")
