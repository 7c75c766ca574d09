"""How true the copy was: a row per day and kind, with the day's last agreement and the number of rows that it is about."""

from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from app.domain import Kind
from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement


class Agreement(Protocol):
    """How many of a kind's rows are equal there and here."""

    @property
    def rows(self) -> int:
        """The rows that live there, here or in both."""

    @property
    def equal(self) -> int | None:
        """The rows that are equal after the write; ``None`` when that is not known."""

    @property
    def differed(self) -> int:
        """The rows that the write changed."""

    @property
    def unknown(self) -> str | None:
        """Why ``equal`` is not known."""


class Day(NamedTuple):
    """One row, as ``tables.AgreementDay`` describes it."""

    connection: str
    kind: str
    day: str
    equal: int | None
    differed: int
    rows: int
    run_id: int
    at: datetime | None
    unknown: str | None


_PUT = Statement(
    """
    INSERT INTO agreement_days (connection, kind, day, equal, differed, rows, run_id, at, unknown)
    VALUES (:connection, :kind, :day, :equal, :differed, :rows, :run_id, :now, :unknown)
    ON CONFLICT (connection, kind, day) DO UPDATE
    SET equal = excluded.equal, differed = excluded.differed, rows = excluded.rows, run_id = excluded.run_id,
        at = excluded.at, unknown = excluded.unknown
    """
)
_DAYS = Statement(
    """
    SELECT connection, kind, day, equal, differed, rows, run_id, at, unknown FROM agreement_days
    WHERE connection = :connection AND day >= :first ORDER BY day DESC, kind
    """
)


def put(conn: Connection, connection: str, kind: Kind, agreement: Agreement, *, run_id: int, now: datetime) -> None:
    """Save an agreement as that of its day."""
    params = {
        "connection": connection,
        "kind": kind.value,
        "day": day_of(now),
        "equal": agreement.equal,
        "differed": agreement.differed,
        "rows": agreement.rows,
        "run_id": run_id,
        "now": now,
        "unknown": agreement.unknown,
    }
    _PUT.run(conn, params)


def days(conn: Connection, connection: str, since: datetime) -> list[Day]:
    """The agreements of the days since a moment, newest first."""
    rows = _DAYS.run(conn, {"connection": connection, "first": day_of(since)})
    return [Day._make((*values, moment_from(at), unknown)) for *values, at, unknown in rows]


def day_of(moment: datetime) -> str:
    """The day (UTC) of a moment, YYYY-MM-DD."""
    return moment.astimezone(UTC).date().isoformat()
