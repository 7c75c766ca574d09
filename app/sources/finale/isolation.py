"""Reads a band of rows so that an unreadable row affects only itself: the band is halved until that row stands alone."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from app.domain import BadRecord, Kind
from app.errors import Unmappable
from app.sources.finale.columnar import Band
from app.sources.finale.wire import MODIFIED, tail
from app.sources.shapes import bad_record
from app.sources.values import moment

R = TypeVar("R")


class Bad(NamedTuple):
    """A row that could not be read, as a band of one row, and why."""

    record: BadRecord
    row: Band
    error: Exception

    @property
    def modified(self) -> datetime | None:
        """When it was last updated, ``None`` where that cannot be read."""
        try:
            return moment(text_in(self.row, MODIFIED))
        except Unmappable:
            return None


class ReadRows(NamedTuple, Generic[R]):
    """The records of a band, and its unreadable rows."""

    records: list[R]
    bad: list[Bad]

    @property
    def failed(self) -> list[BadRecord]:
        """The unreadable rows as bad records."""
        return [bad.record for bad in self.bad]


def readable(kind: Kind, key: str, band: Band, read: Callable[[Band], Sequence[R]]) -> ReadRows[R]:
    """``read`` of a band, or of all its readable parts. ``key`` is the column of the record's URL.

    A band without a bad row costs nothing more than reading it.
    """
    result: ReadRows[R] = ReadRows([], [])
    for part, error in _parts(band, read, result.records):
        result.bad.append(Bad(bad_record(kind, tail(text_in(part, key)) or "", error), part, error))
    return result


def text_in(row: Band, name: str) -> str | None:
    """The text in a column of a band of one row, ``None`` where there is none."""
    value = row.cell(name)
    return value if isinstance(value, str) else None


def _parts(band: Band, read: Callable[[Band], Sequence[R]], records: list[R]) -> Iterator[tuple[Band, Exception]]:
    """Adds the readable records to ``records`` in order; yields each unreadable row with its error."""
    try:
        records += read(band)
    except MemoryError:
        raise
    except Exception as error:  # any error that a row causes belongs to that row
        if band.rows == 1:
            yield band, error
            return
        middle = band.rows // 2
        yield from _parts(band.part(0, middle), read, records)
        yield from _parts(band.part(middle, band.rows), read, records)
