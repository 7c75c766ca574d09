"""How true the copy was: a row per day and kind, with the day's last agreement and the number of rows that it is about."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from app.domain import Kind
from app.rules.drift.agreement import Agreed, share_of
from app.stores import tables
from app.stores.sql.statements import upsert


class Day(msgspec.Struct, frozen=True):
    """A kind's agreement on a day (0 to 1), of how many rows, and the run that found it at a moment (ISO 8601); or why the
    share is unknown."""

    kind: str
    day: str
    share: float | None
    rows: int
    differed: int
    run: int
    at: str
    unknown: str | None


_DAYS = tables.core(tables.AgreementDay)
_PUT = upsert(_DAYS)


def put(conn: Connection, connection: str, kind: Kind, agreement: Agreed, *, run_id: int, now: datetime) -> None:
    """Save an agreement as that of its day."""
    key = {"connection": connection, "kind": kind.value, "day": day_of(now)}
    _PUT.run(conn, {**key, **agreement._asdict(), "run_id": run_id, "at": now})


def days(conn: Connection, connection: str, since: datetime) -> list[Day]:
    """The agreements of the days since a moment, newest first."""
    query = select(_DAYS).where(_DAYS.c.connection == connection, _DAYS.c.day >= day_of(since))
    return [_day(row) for row in conn.execute(query.order_by(_DAYS.c.day.desc(), _DAYS.c.kind))]


def _day(row: Row[Any]) -> Day:
    share, at = share_of(row.equal, row.rows), row.at.isoformat()
    return Day(row.kind, row.day, share, row.rows, row.differed, row.run_id, at, row.unknown)


def day_of(moment: datetime) -> str:
    """The day (UTC) of a moment, YYYY-MM-DD."""
    return moment.astimezone(UTC).date().isoformat()
