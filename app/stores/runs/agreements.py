"""How true the copy was: a row per day and kind, with the day's last agreement and the number of rows that it is about."""

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from app.domain import Kind
from app.rules.drift.agreement import Agreed
from app.stores import tables
from app.stores.sql.statements import upsert


class Day(NamedTuple):
    """One row, as ``tables.AgreementDay`` describes it."""

    connection: str
    kind: str
    day: str
    equal: int | None
    differed: int
    rows: int
    run_id: int
    at: datetime
    unknown: str | None


_DAYS = tables.core(tables.AgreementDay)
_PUT = upsert(_DAYS)


def put(conn: Connection, connection: str, kind: Kind, agreement: Agreed, *, run_id: int, now: datetime) -> None:
    """Save an agreement as that of its day."""
    key = {"connection": connection, "kind": kind.value, "day": day_of(now)}
    _PUT.run(conn, {**key, **agreement._asdict(), "run_id": run_id, "at": now})


def days(conn: Connection, connection: str, since: datetime) -> list[Day]:
    """The agreements of the days since a moment, newest first."""
    query = select(*(_DAYS.c[name] for name in Day._fields))
    recent = query.where(_DAYS.c.connection == connection, _DAYS.c.day >= day_of(since))
    return [Day(*row) for row in conn.execute(recent.order_by(_DAYS.c.day.desc(), _DAYS.c.kind))]


def day_of(moment: datetime) -> str:
    """The day (UTC) of a moment, YYYY-MM-DD."""
    return moment.astimezone(UTC).date().isoformat()
