"""Reads a shop's sales from a file with one line per SKU and day, and refuses a line it cannot trust by its number.

    sku,day,sold[,returned][,exposure][,revenue_minor]

Days without a line had no sale, and the shelf was full. Lines of one SKU and day add up. Their order does not matter.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from app.errors import InvalidRequest
from app.rules.demand.history import Demand, Floats, closed_days, divided

REQUIRED = ("sku", "day", "sold")
OPTIONAL = ("returned", "exposure", "revenue_minor")
SEPARATORS = ",;\t"
LARGEST = 1e9
LONGEST_SKU = 500
MAX_DAYS = 3_660
MAX_CELLS = 60_000_000
"""SKUs times days; eight bytes each, several times over."""

_NUMBER = re.compile(r"\d+(\.\d*)?([eE][+-]?\d{1,2})?|\.\d+")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class DemandFile(NamedTuple):
    """What a file holds: SKUs in the order of their names, the first day, the arrays, and whether it tells money."""

    skus: tuple[str, ...]
    first_day: date
    demand: Demand
    has_money: bool


class _Line(NamedTuple):
    number: int
    sku: str
    day: int
    sold: float
    exposure: float
    revenue: float


def read_demand(path: Path) -> DemandFile:
    """The sales in a .csv or .csv.gz file; ``InvalidRequest`` names the line and says what was expected."""
    with _opened(path) as text:
        lines, has_money = _lines(path, text)
    if not lines:
        raise InvalidRequest(f"{path} has no line of sales below its heading")
    return _arranged(path, lines, has_money)


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """The file as text; what cannot be read is refused in one sentence."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            content = gzip.GzipFile(fileobj=raw) if packed else raw
            yield io.TextIOWrapper(content, encoding="utf-8-sig", newline="")
    except FileNotFoundError:
        raise InvalidRequest(f"there is no file {path}") from None
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"{path} is not text in UTF-8: {error.reason} (a .csv or .csv.gz was expected)"
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidRequest(f"{path} cannot be unpacked: {error}") from None
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror or error}") from None


def _lines(path: Path, text: TextIO) -> tuple[list[_Line], bool]:
    heading = text.readline()
    separator = max(SEPARATORS, key=heading.count)
    columns = _columns(path, next(csv.reader([heading], delimiter=separator), []))
    rows = csv.reader(text, delimiter=separator, strict=True)
    try:
        lines = [_line(path, rows.line_num + 1, row, columns) for row in rows if any(map(str.strip, row))]
    except csv.Error as error:
        raise InvalidRequest(f"{path}, line {rows.line_num + 1}: {error}") from None
    return lines, "revenue_minor" in columns


def _columns(path: Path, heading: Sequence[str]) -> dict[str, int]:
    """Where each column that we know stands; others are left alone."""
    names = [name.strip().lower() for name in heading]
    expected = f"expected were {', '.join(REQUIRED)} and, if you have them, {', '.join(OPTIONAL)}"
    for name in REQUIRED:
        if name not in names:
            there = ", ".join(filter(None, names)) or "none"
            raise InvalidRequest(f"{path}, line 1: no column {name!r}; there are {there}; {expected}")
    for name in (*REQUIRED, *OPTIONAL):
        if names.count(name) > 1:
            raise InvalidRequest(f"{path}, line 1: the column {name} stands there {names.count(name)} times")
    return {name: names.index(name) for name in (*REQUIRED, *OPTIONAL) if name in names} | {"": len(names)}


def _line(path: Path, number: int, row: Sequence[str], columns: Mapping[str, int]) -> _Line:
    try:
        return _checked(number, row, columns)
    except ValueError as error:
        raise InvalidRequest(f"{path}, line {number}: {error}") from None


def _checked(number: int, row: Sequence[str], columns: Mapping[str, int]) -> _Line:
    if len(row) != columns[""]:
        raise ValueError(f"{len(row)} columns; {columns['']} were expected, as in the heading")
    cells = {name: row[at].strip() for name, at in columns.items() if name}
    if not cells["sku"] or len(cells["sku"]) > LONGEST_SKU:
        raise ValueError(f"sku has {len(cells['sku'])} letters; 1 to {LONGEST_SKU} were expected")
    _number(cells, "returned", "0")
    exposure = _number(cells, "exposure", "1")
    if exposure > 1:
        raise ValueError(f'exposure is "{cells["exposure"]}"; a share of the day from 0 to 1 was expected')
    sold = _number(cells, "sold", "")
    if sold > 0 and exposure == 0:
        raise ValueError(f"sold is {sold:g} and exposure 0; what sold was in stock for a part of the day, above 0")
    revenue = _number(cells, "revenue_minor", "0")
    return _Line(number, cells["sku"], _day(cells["day"]), sold, exposure, revenue)


def _number(cells: Mapping[str, str], name: str, missing: str) -> float:
    text = cells.get(name) or missing
    if not _NUMBER.fullmatch(text) or float(text) > LARGEST:
        hint = "; returns have a column of their own, returned" if name == "sold" and text.startswith("-") else ""
        raise ValueError(
            f'{name} is "{text}"; a number from 0 to {LARGEST:,.0f} such as 3 or 0.25 was expected{hint}'
        )
    return float(text)


def _day(text: str) -> int:
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text).toordinal()
    except ValueError:
        pass
    raise ValueError(f'day is "{text}"; a day such as 2026-11-29 was expected')


def _arranged(path: Path, lines: list[_Line], has_money: bool) -> DemandFile:
    """The lines as arrays [sku, day]; equal files give equal bytes, in whatever order their lines are."""
    lines.sort(key=lambda line: (line.sku, line.day, line.sold, line.revenue))
    first, last = min(line.day for line in lines), max(line.day for line in lines)
    skus = tuple(dict.fromkeys(line.sku for line in lines))
    _check_size(path, len(skus), lines, last - first + 1)
    units = np.zeros((len(skus), last - first + 1))
    exposure = np.full(units.shape, np.nan)
    revenue = np.zeros(len(skus))
    rows = {sku: row for row, sku in enumerate(skus)}
    for line in lines:
        at = rows[line.sku], line.day - first
        if not np.isnan(exposure[at]) and exposure[at] != line.exposure:
            phrase = f"sku {line.sku}, day {date.fromordinal(line.day)}, has exposure {line.exposure:g}"
            raise InvalidRequest(f"{path}, line {line.number}: {phrase}, and {exposure[at]:g} in another line")
        units[at] += line.sold
        exposure[at] = line.exposure
        revenue[rows[line.sku]] += line.revenue
    demand = _demand(units, exposure, revenue)
    return DemandFile(skus, date.fromordinal(first), demand, has_money)


def _demand(units: Floats, exposure: Floats, revenue: Floats) -> Demand:
    """A SKU counts as on sale from its first sale on, where no exposure says otherwise; nothing sells on a closed day."""
    sold = units.sum(axis=1)
    prices = divided(revenue, sold)
    opened = np.where(closed_days(units), 0.0, 1.0)[np.newaxis, :]
    has_begun = np.maximum.accumulate((units > 0) | (exposure == exposure), axis=1)
    exposure = np.where(np.isnan(exposure), 1.0, exposure)
    return Demand(units, exposure * has_begun * opened, opened, prices)


def _check_size(path: Path, skus: int, lines: Sequence[_Line], days: int) -> None:
    if days > MAX_DAYS:
        first, last = min(lines, key=lambda line: line.day), max(lines, key=lambda line: line.day)
        span = f"{date.fromordinal(first.day)} (line {first.number}) to {date.fromordinal(last.day)} (line {last.number})"
        raise InvalidRequest(f"{path} goes from {span}, {days:,} days; at most {MAX_DAYS:,} were expected")
    if skus * days > MAX_CELLS:
        raise InvalidRequest(
            f"{path} has {skus:,} SKUs and {days:,} days; at most {MAX_CELLS:,} of both were expected"
        )
