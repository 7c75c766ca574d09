"""Reads Finale's column-major documents, ``{"a": [1, 2], "b": [3, null]}``, in bands of rows and little memory.

The rules (developer.finaleinventory.com/reference/resource-patterns, live clients): cell i of every column belongs to
record i; the key column (the record's URL) gives the number of records; a shorter column is padded with null, a
longer one is an error; a column that is null everywhere may be absent; ``{}`` and empty columns mean no records.

A document of 280,000 products is 250 MB. It is read from a memory map, one column at a time, into bands of a few thousand
rows that are still JSON; only one band at a time becomes Python objects.
"""

import mmap
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from functools import lru_cache
from itertools import repeat
from typing import Any, BinaryIO, NamedTuple

import msgspec

from app.domain.collector import collector_paused
from app.domain.decoding import decode
from app.errors import BadAnswer, Unmappable
from app.sources.shapes import explained
from app.sources.texts import repaired, shallow, without_blanks

BAND_ROWS = 4_000
EMPTY = frozenset((b"null", b'""', b"[]", b"{}"))
"""Cells that say nothing; ``leftovers`` leaves them out and ``texts`` gives ``None`` for them."""

_COLUMNS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CELLS = msgspec.json.Decoder(list[msgspec.Raw])
_ANY = msgspec.json.Decoder(list[Any], float_hook=Decimal)
_ROW = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_NULL = msgspec.Raw(b"null")
_NUMBER = re.compile(rb"-?[0-9][0-9.eE+-]*")


class Same(NamedTuple):
    """A column with the same cell in every row of a band."""

    cell: bytes


Cells = bytes | Same
"""A band's share of a column: a JSON array, or the one cell they all are."""


class Band:
    """Some rows of a document, column by column, still JSON."""

    def __init__(self, rows: int, columns: Mapping[str, Cells]) -> None:
        self.rows = rows
        self._columns = {name: cells for name, cells in columns.items() if not _is_empty(cells)}

    def has_any(self, names: Iterable[str]) -> bool:
        """Whether any of these columns has a value in this band."""
        return any(name in self._columns for name in names)

    def column(self, name: str, type_: Any) -> list[Any]:
        """The cells of one column as ``type_`` (which must allow ``None``), all ``None`` if there is no such column.

        Raises ``Unmappable`` naming the column when a cell is something else.
        """
        cells = self._columns.get(name)
        if cells is None:
            return [None] * self.rows
        if isinstance(cells, Same):
            return _typed(name, _array([cells.cell]), type_) * self.rows
        return _typed(name, cells, type_)

    def words(self, name: str) -> list[str | None]:
        """The cells of one column of texts; a number among them becomes the text of its digits.

        Raises ``Unmappable`` for anything else.
        """
        try:
            return self.column(name, str | None)
        except Unmappable:
            cells = self._columns[name]
            each = [cells.cell] * self.rows if isinstance(cells, Same) else map(bytes, _CELLS.decode(cells))
            return _typed(
                name, _array(b'"%b"' % cell if _NUMBER.fullmatch(cell) else cell for cell in each), str | None
            )

    def part(self, start: int, stop: int) -> "Band":
        """Some of the rows as a band of their own."""
        return Band(stop - start, {name: _slice(cells, start, stop) for name, cells in self._columns.items()})

    def cell(self, name: str) -> Any:
        """The one cell that a band of one row has in a column, whatever it is; ``None`` where it is unreadable."""
        try:
            return self.column(name, Any)[0]
        except Unmappable:
            return None

    def strings(self, name: str) -> list[str | None]:
        """Each cell of one column that is a text, ``None`` for any other, whatever it is."""
        try:
            return self.column(name, str | None)
        except Unmappable:
            cells = self._columns[name]
            each = [cells.cell] * self.rows if isinstance(cells, Same) else map(bytes, _CELLS.decode(cells))
            return [decode(cell, str) if cell.lstrip()[:1] == b'"' else None for cell in each]

    def texts(self, name: str) -> list[str | None]:
        """Each cell of one column as compact JSON text, ``None`` for an empty one."""
        cells = self._columns.get(name)
        if cells is None:
            return [None] * self.rows
        return [None if cell in EMPTY else cell.decode() for cell in self._compact(cells)]

    def leftovers(self, mapped: AbstractSet[str], silent: Mapping[str, AbstractSet[bytes]]) -> list[str | None]:
        """For each row a JSON object of all columns not ``mapped``, ``None`` if nothing is left.

        Empty cells are left out, and in a column named in ``silent`` also the cells listed there. The keys are
        sorted because a list and a single record may name the same fields in another order.
        """
        names = sorted(self._columns.keys() - mapped)
        columns = [self._labelled(name, EMPTY | silent.get(name, EMPTY)) for name in names]
        if not columns:
            return [None] * self.rows
        rows = (b",".join(filter(None, row)) for row in zip(*columns, strict=True))
        return [f"{{{row.decode()}}}" if row else None for row in rows]

    def records(self) -> list[dict[str, Any]]:
        """The rows as dictionaries without empty columns, numbers with a fraction as ``Decimal``."""
        if not self._columns:
            return [{} for _ in range(self.rows)]
        columns = [self._labelled(name, frozenset()) for name in self._columns]
        return [_row(b"{%b}" % b",".join(row)) for row in zip(*columns, strict=True)]

    def _labelled(self, name: str, unsaid: AbstractSet[bytes]) -> Iterable[Any]:
        cells, label = self._columns[name], msgspec.json.encode(name) + b":"
        if isinstance(cells, Same):
            cell = _squeezed(cells.cell)
            return repeat(None if cell in unsaid else label + cell, self.rows)
        return [None if cell in unsaid else label + cell for cell in self._compact(cells)]

    def _compact(self, cells: Cells) -> list[bytes]:
        if isinstance(cells, Same):
            return [_squeezed(cells.cell)] * self.rows
        return list(map(bytes, _CELLS.decode(_squeezed(cells))))


def bands(document: BinaryIO, key: str, rows: int = BAND_ROWS) -> list[Band]:
    """All bands of a column-major document in a real, flushed file; ``key`` is the column every record has.

    The caller should empty the list while working through it, to release memory. Raises ``BadAnswer`` when the document is
    not a complete JSON object of arrays, lacks the key column, or has a column longer than that.
    """
    if document.seek(0, 2) == 0:
        raise BadAnswer("an empty body where a list of records was expected")
    # not closed by hand: the traceback of an error may still hold cells, and the last of them frees the map
    body = mmap.mmap(document.fileno(), 0, access=mmap.ACCESS_READ)
    with collector_paused():
        return _split(body, key, rows)


def single(body: bytes) -> Band:
    """One record, ``{"a": 1, "b": [2]}``, as a band of one row. Raises ``BadAnswer`` for anything but an object."""
    return Band(1, {name: Same(bytes(cell)) for name, cell in _columns_of(body).items()})


def _columns_of(body: Any) -> dict[str, msgspec.Raw]:
    try:
        return _COLUMNS.decode(body)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"the answer is not a complete JSON object: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _columns_of_repaired(body)


def _columns_of_repaired(body: Any) -> dict[str, msgspec.Raw]:
    try:
        return _COLUMNS.decode(shallow(repaired(bytes(body))))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"the answer is not a complete JSON object: {error}") from error


def _split(body: mmap.mmap, key: str, rows: int) -> list[Band]:
    columns = _columns_of(body)
    count = _row_count(columns, key)
    parts = {}
    for name in list(columns):
        parts[name] = _parts(name, _cells_of(name, columns.pop(name)), count, rows)
        _forget(body)
    sizes = [min(rows, count - start) for start in range(0, count, rows)]
    return [
        Band(size, dict(zip(parts, cells, strict=True))) for size, *cells in zip(sizes, *parts.values(), strict=True)
    ]


def _row_count(columns: Mapping[str, msgspec.Raw], key: str) -> int:
    if key in columns:
        return len(_cells_of(key, columns[key]))
    filled = sorted(name for name, cells in columns.items() if _cells_of(name, cells))
    if filled:
        raise BadAnswer(f"no column {key!r} in an answer that has {', '.join(filled[:8])}")
    return 0


def _cells_of(name: str, column: msgspec.Raw) -> list[msgspec.Raw]:
    if bytes(column) == b"null":
        return []
    try:
        return _CELLS.decode(column)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadAnswer(f"column {name!r} is no array: {error}") from error


def _parts(name: str, cells: list[msgspec.Raw], count: int, rows: int) -> list[Cells]:
    if len(cells) > count:
        raise BadAnswer(f"column {name!r} has {len(cells)} cells for {count} records")
    cells += [_NULL] * (count - len(cells))
    return [_part(cells[start : start + rows]) for start in range(0, count, rows)]


def _part(cells: Sequence[msgspec.Raw]) -> Cells:
    first, joined = bytes(cells[0]), b",".join(cells)
    alike = first == bytes(cells[-1]) and joined == b",".join(repeat(first, len(cells)))
    return Same(first) if alike else b"[%b]" % joined


def _slice(cells: Cells, start: int, stop: int) -> Cells:
    return cells if isinstance(cells, Same) else _array(_CELLS.decode(cells)[start:stop])


def _is_empty(cells: Cells) -> bool:
    return isinstance(cells, Same) and cells.cell in EMPTY


def _array(cells: Iterable[bytes]) -> bytes:
    return b"[%b]" % b",".join(cells)


def _squeezed(text: bytes) -> bytes:
    return msgspec.json.format(text, indent=-1)


@lru_cache(maxsize=64)
def _decoder(type_: Any) -> msgspec.json.Decoder[list[Any]]:
    return msgspec.json.Decoder(list[type_], strict=False)


def _typed(name: str, array: bytes, type_: Any) -> list[Any]:
    try:
        return _decoder(type_).decode(array)
    except msgspec.ValidationError:
        return _typed_without_blanks(name, array, type_)


def _typed_without_blanks(name: str, array: bytes, type_: Any) -> list[Any]:
    """Decode once more with ``""`` read as null, in the cells and inside them: Finale may send it for numbers."""
    try:
        return _decoder(type_).decode(without_blanks(array))
    except msgspec.ValidationError as error:
        cells = _ANY.decode(repaired(array))
        raise Unmappable(
            explained(error, cells).replace("[0]", name, 1) if len(cells) == 1 else f"{name}: {error}"
        ) from error


def _row(document: bytes) -> dict[str, Any]:
    try:
        return _ROW.decode(document)
    except msgspec.DecodeError:
        return _ROW.decode(repaired(document))


def _forget(body: mmap.mmap) -> None:
    """Release pages of the map that have been read; the kernel loads them again if needed."""
    if hasattr(mmap, "MADV_DONTNEED"):
        body.madvise(mmap.MADV_DONTNEED)
