"""What the accepted reads of each day changed, for the guard to compare with."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from app.domain import Kind
from app.stores import tables
from app.stores.runs.agreements import day_of
from app.stores.sql.statements import Statement, json_text, upsert

_OF = Statement("SELECT changes FROM usual_days WHERE connection = :connection AND kind = :kind AND day = :day")
_SINCE = Statement(
    "SELECT changes FROM usual_days WHERE connection = :connection AND kind = :kind AND day >= :first AND day < :day"
)
_PUT = upsert(tables.core(tables.UsualDay))
_FORGET = Statement("DELETE FROM usual_days WHERE connection = :connection AND kind = :kind AND day < :first")
_changes = msgspec.json.Decoder(dict[str, int])


def add(
    conn: Connection, connection: str, kind: Kind, changes: Mapping[str, int], *, now: datetime, days: int
) -> None:
    """Add what an accepted read changed today; remove what is older than ``days``."""
    key = {"connection": connection, "kind": kind.value, "day": day_of(now)}
    sums = Counter(changes)
    for (before,) in _OF.run(conn, key):
        sums.update(_changes.decode(before))
    _PUT.run(conn, {**key, "changes": json_text(dict(sums))})
    _FORGET.run(conn, {"connection": connection, "kind": kind.value, "first": _first(now, days)})


def days_before(conn: Connection, connection: str, kind: Kind, *, now: datetime, days: int) -> list[dict[str, int]]:
    """The changes of each known day of the last ``days`` before today."""
    values = {"connection": connection, "kind": kind.value, "day": day_of(now), "first": _first(now, days)}
    return [_changes.decode(changes) for (changes,) in _SINCE.run(conn, values)]


def _first(now: datetime, days: int) -> str:
    return day_of(now - timedelta(days=days))
