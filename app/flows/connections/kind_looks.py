"""Looks at one kind of a vendor's records: whether it may be read, how many there are, and what the first are like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice

from app.domain import Kind, Page, Record, Ref
from app.errors import AuthRejected, TallyhookError
from app.flows.connections.checks import one_line
from app.rules.describing import line_of
from app.sources.base import Source

LOOK_BACK = timedelta(days=1)
"""A kind is asked for what changed so recently: that shows whether it may be read, and costs next to nothing."""

ORDERS_BACK = timedelta(days=7)
"""Orders only grow: these days of them are counted."""

MOST_CALLS = 5
"""Calls after which counting a kind ends, and more than that are said to be there."""

FIRST = 3
"""Rows that are shown."""

FIRST_LOCATIONS = 10


class State(StrEnum):
    """How a finding is: ``note`` is neither good nor bad."""

    WELL = "well"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True)
class KindLook:
    """What was seen of a kind. ``found`` is the number of its rows, a lower limit where ``is_all`` is not set; ``rows``
    are the first ones, a line each."""

    kind: Kind
    state: State
    said: str
    todo: str = ""
    found: int = 0
    is_all: bool = True
    rows: Sequence[str] = ()


def may_read(source: Source, kind: Kind, now: datetime, redact: Callable[[str], str]) -> KindLook:
    """Whether the kind may be read, by the cheapest read of it."""

    def look() -> KindLook:
        page = next(islice(source.window(kind, now - LOOK_BACK, None), 1), Page())
        seen = len(page.records) + len(page.changes)
        said = f"may be read; a first page of what changed since yesterday has {seen} rows"
        return KindLook(kind, State.WELL, said, found=seen, is_all=False)

    return _told(kind, look, redact)


def count(source: Source, kind: Kind, now: datetime, redact: Callable[[str], str]) -> KindLook:
    """How many rows there are, in at most ``MOST_CALLS`` calls, and the first of them; of orders those of seven days."""
    return _told(kind, lambda: _counted(source, kind, now), redact)


def _told(kind: Kind, look: Callable[[], KindLook], redact: Callable[[str], str]) -> KindLook:
    try:
        return look()
    except AuthRejected as error:
        todo = "allow it to these credentials, or leave it: everything else is synced"
        return KindLook(kind, State.WRONG, f"may not be read: {one_line(redact(str(error)))}", todo)
    except TallyhookError as error:
        return KindLook(kind, State.WRONG, one_line(redact(str(error))))


def _counted(source: Source, kind: Kind, now: datetime) -> KindLook:
    before, found, expected, is_all = source.calls(), 0, 0, True
    first = FIRST_LOCATIONS if kind is Kind.LOCATION else FIRST
    records: list[Record] = []
    named: list[Ref] = []
    for page in _pages(source, kind, now):
        found += len(page.records) + len(page.changes) + len(page.failed)
        expected = max(expected, page.expected or 0)
        records += page.records[: first - len(records)]
        named += [Ref(one.kind, one.external_id) for one in page.changes[: first - len(named)]]
        is_last = page.watermark is not None or page.complete is not None
        if source.calls() - before >= MOST_CALLS and not is_last:
            is_all = expected >= found
            break
    records += _fetched(source, named[: first - len(records)])
    lines = [one_line(line_of(one)) for one in records]
    return KindLook(kind, State.WELL, "may be read", "", max(found, expected), is_all, lines)


def _pages(source: Source, kind: Kind, now: datetime) -> Iterator[Page]:
    return source.window(kind, now - ORDERS_BACK, None) if kind is Kind.ORDER else source.full(kind)


def _fetched(source: Source, refs: Sequence[Ref]) -> Iterator[Record]:
    """The records of rows that a page only named."""
    size = source.batch_size(refs[0].kind) if refs else 1
    for start in range(0, len(refs), size):
        yield from source.fetch(refs[start : start + size]).records
