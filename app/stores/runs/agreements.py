"""How true the copy was, a row per day and kind: the last answer of the day, with the number of rows it speaks of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection

from app.domain import Kind
from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement


class Found(Protocol):
    """An answer to "how many of the rows are equal?"."""

    @property
    def rows(self) -> int:
        """The union of those that live there and here."""

    @property
    def equal(self) -> int | None:
        """Those that were equal after the write; ``None`` when that is not known."""

    @property
    def differed(self) -> int:
        """Those that the write mended."""

    @property
    def unknown(self) -> str | None:
        """Why it is not known."""


class Day(NamedTuple):
    """As ``tables.AgreementDay`` tells."""

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


def put(conn: Connection, connection: str, kind: Kind, found: Found, *, run_id: int, now: datetime) -> None:
    """Remember an answer as that of its day."""
    told: dict[str, Any] = {"connection": connection, "kind": kind.value, "day": day_of(now), "run_id": run_id}
    numbers = {"equal": found.equal, "differed": found.differed, "rows": found.rows, "unknown": found.unknown}
    _PUT.run(conn, {**told, **numbers, "now": now})


def days(conn: Connection, connection: str, since: datetime) -> list[Day]:
    """The answers of the days since a moment, newest first."""
    rows = _DAYS.run(conn, {"connection": connection, "first": day_of(since)})
    return [Day._make((*told, moment_from(at), unknown)) for *told, at, unknown in rows]


def day_of(moment: datetime) -> str:
    """The day (UTC) of a moment, YYYY-MM-DD."""
    return moment.astimezone(UTC).date().isoformat()
