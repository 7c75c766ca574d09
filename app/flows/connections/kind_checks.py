"""Checks one kind of a vendor's records: whether it may be read, how many there are, and what the first ones look like."""

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
"""A read of what changed so recently shows whether the kind may be read, and costs next to nothing."""

ORDERS_BACK = timedelta(days=7)
"""Orders only grow in number, so only those of this many days are counted."""

MAX_CALLS = 5
"""Calls after which counting a kind ends; the number is then a lower limit."""

SAMPLE_SIZE = 3
"""Rows that people see."""

LOCATION_SAMPLE_SIZE = 10


class State(StrEnum):
    """The result of a check: ``note`` is neither good nor bad."""

    WELL = "well"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True)
class KindCheck:
    """The result of checking a kind. ``found`` is the number of its rows, a lower limit unless ``is_all``; ``rows`` are the
    first ones, a line each."""

    kind: Kind
    state: State
    said: str
    todo: str = ""
    found: int = 0
    is_all: bool = True
    rows: Sequence[str] = ()


def may_read(source: Source, kind: Kind, now: datetime, redact: Callable[[str], str]) -> KindCheck:
    """Whether the kind may be read, by the cheapest read of it."""

    def check() -> KindCheck:
        page = next(islice(source.window(kind, now - LOOK_BACK, None), 1), Page())
        seen = len(page.records) + len(page.changes)
        said = f"may be read; a first page of what changed since yesterday has {seen} rows"
        return KindCheck(kind, State.WELL, said, found=seen, is_all=False)

    return _checked(kind, check, redact)


def count(source: Source, kind: Kind, now: datetime, redact: Callable[[str], str]) -> KindCheck:
    """Count the rows of a kind in at most ``MAX_CALLS`` calls, and keep the first ones; only orders of the last seven days
    count."""
    return _checked(kind, lambda: _counted(source, kind, now), redact)


def _checked(kind: Kind, check: Callable[[], KindCheck], redact: Callable[[str], str]) -> KindCheck:
    try:
        return check()
    except AuthRejected as error:
        todo = "grant these credentials the right, or leave it: everything else is synced"
        return KindCheck(kind, State.WRONG, f"may not be read: {one_line(redact(str(error)))}", todo)
    except TallyhookError as error:
        return KindCheck(kind, State.WRONG, one_line(redact(str(error))))


def _counted(source: Source, kind: Kind, now: datetime) -> KindCheck:
    before, count, expected, is_all = source.calls(), 0, 0, True
    size = LOCATION_SAMPLE_SIZE if kind is Kind.LOCATION else SAMPLE_SIZE
    records: list[Record] = []
    named: list[Ref] = []
    for page in _pages(source, kind, now):
        count += len(page.records) + len(page.changes) + len(page.failed)
        expected = max(expected, page.expected or 0)
        records += page.records[: size - len(records)]
        named += [Ref(change.kind, change.external_id) for change in page.changes[: size - len(named)]]
        is_last = page.watermark is not None or page.complete is not None
        if source.calls() - before >= MAX_CALLS and not is_last:
            is_all = expected >= count
            break
    records += _fetched(source, named[: size - len(records)])
    lines = [one_line(line_of(record)) for record in records]
    return KindCheck(kind, State.WELL, "may be read", "", max(count, expected), is_all, lines)


def _pages(source: Source, kind: Kind, now: datetime) -> Iterator[Page]:
    return source.window(kind, now - ORDERS_BACK, None) if kind is Kind.ORDER else source.full(kind)


def _fetched(source: Source, refs: Sequence[Ref]) -> Iterator[Record]:
    """The records of which a page has only the ids."""
    size = source.batch_size(refs[0].kind) if refs else 1
    for start in range(0, len(refs), size):
        yield from source.fetch(refs[start : start + size]).records
