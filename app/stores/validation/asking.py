"""Runs a question about the data: one statement finds the rows once, and its checks count and sample them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection

from app.domain import ALL_ITEMS, JsonObject, micros, quantity
from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement

LAG = timedelta(minutes=1)
"""How long a change may take to arrive in all connections before a difference counts."""

STALE_AFTER = timedelta(days=7)
LONG_OWED = timedelta(hours=1)
AHEAD = timedelta(minutes=5)
"""Dates further in the future than this are not explained by clocks that differ a little."""

RECENT_ORDERS = timedelta(days=7)


class Finding(NamedTuple):
    """What a check found: how many rows, and some of them as JSON-ready mappings."""

    check: str
    rows: int
    samples: list[JsonObject]


class Cutoffs(NamedTuple):
    """The moments that the questions compare with.

    Rows written before ``quiet`` have had time to arrive everywhere. Rows must have been read since ``stale``. Items owed
    since before ``patience`` wait too long. Orders are checked from ``recent`` on. Dates after ``ahead`` are in the future
    (``ahead_version``: the same as a version in microseconds).
    """

    quiet: datetime
    stale: datetime
    patience: datetime
    recent: datetime
    ahead: datetime
    ahead_version: int


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong: the found rows for which ``where`` holds; samples have the columns that it ``shows``.

    ``counts`` is the SQL that counts them.
    """

    name: str
    shows: tuple[str, ...]
    where: str = "1 = 1"
    counts: str = "count(*)"


NOTHING_GIVEN: Mapping[str, str] = MappingProxyType({})


class Question:
    """A selection (``found``), and the checks that count and sample it. ``given`` are selections that it uses, by name.

    Parameters are ``:connection``, ``:samples`` and the fields of ``Cutoffs``. Columns whose name ends in ``on_hand`` or
    ``quantity`` are exact amounts, those that end in ``_at`` moments.
    """

    def __init__(self, found: str, checks: Sequence[Check], *, given: Mapping[str, str] = NOTHING_GIVEN) -> None:
        self.checks = tuple(checks)
        parts = " UNION ALL ".join(_part(number, check, self._columns()) for number, check in enumerate(checks))
        tables = ", ".join(f"{name} AS MATERIALIZED ({sql})" for name, sql in {**given, "found": found}.items())
        sql = f"WITH {tables} {parts}"
        self._statement = Statement(sql, postgresql=sql.replace("instr(", "strpos("))  # one function, two names

    def ask(self, conn: Connection, connection: str, cutoffs: Cutoffs, samples: int) -> list[Finding]:
        """What each check finds, with at most ``samples`` samples."""
        values = {"connection": connection, "samples": max(samples, 1), **cutoffs._asdict()}
        rows = self._statement.run(conn, values)
        return [_finding(check, number, rows, self._columns(), samples) for number, check in enumerate(self.checks)]

    def _columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for check in self.checks for name in check.shows))


_OLDEST_LOOK = Statement(
    f"""
    SELECT min(first_seen_at) FROM owed_items WHERE external_id = '{ALL_ITEMS}' AND kind IN ('product', 'stock')
    """
)


def cutoffs(conn: Connection, now: datetime) -> Cutoffs:
    """The moments as of ``now``.

    While a pull of some connection is owed, only what was written before that pull was owed counts as arrived.
    """
    look = moment_from(_OLDEST_LOOK.run(conn, {})[0][0])
    arrived = now if look is None else min(look, now)
    ahead = now + AHEAD
    return Cutoffs(arrived - LAG, now - STALE_AFTER, now - LONG_OWED, now - RECENT_ORDERS, ahead, micros(ahead))


def _part(number: int, check: Check, columns: Sequence[str]) -> str:
    """A check's samples, each with the count of all; no rows when it finds nothing."""
    counted = f"(SELECT {check.counts} FROM found WHERE {check.where}) AS total"
    return f"""
        SELECT * FROM (SELECT {number} AS number, {counted}, {", ".join(columns)}
                       FROM found WHERE {check.where} ORDER BY {", ".join(check.shows)} LIMIT :samples) AS part_{number}
    """


def _finding(check: Check, number: int, rows: Sequence[Any], columns: Sequence[str], samples: int) -> Finding:
    mine = [row for row in rows if row[0] == number]
    sampled = [dict(zip(columns, row[2:], strict=True)) for row in mine[:samples]]
    shown = [{name: _plain(name, row[name]) for name in check.shows} for row in sampled]
    return Finding(check.name, int(mine[0][1]) if mine else 0, shown)


def _plain(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name.endswith("_at"):
        moment = moment_from(value)
        return None if moment is None else moment.isoformat()
    if isinstance(value, Decimal) or name.endswith(("on_hand", "quantity")):
        return str(quantity(str(value)))
    return value
