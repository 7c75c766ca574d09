"""Spot checks: which kind is checked next, random rows of it, and what the checks found."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from app.domain import Kind
from app.stores.catalog import Key
from app.stores.catalog import catalog_sql as sql
from app.stores.sql.columns import some_moment
from app.stores.sql.statements import Statement


class Check(NamedTuple):
    """A checked row (its key joined by "/"), and whether it was equal there and here."""

    item: str
    equal: bool


class Sums(NamedTuple):
    """How many rows were ``checked`` since the kind's last complete read ended, and how many of them were ``equal``."""

    kind: str
    since: datetime
    checked: int
    equal: int


_DUE = Statement(
    """
    SELECT f.kind FROM full_reads f
    WHERE f.connection = :connection AND NOT EXISTS (
        SELECT 1 FROM spot_check_turns t
        WHERE t.connection = f.connection AND t.kind = f.kind AND t.next_at > :now)
    ORDER BY f.kind
    """
)
_CLAIM = Statement(
    """
    INSERT INTO spot_check_turns (connection, kind, next_at) VALUES (:connection, :kind, :next_at)
    ON CONFLICT (connection, kind) DO UPDATE SET next_at = excluded.next_at
    WHERE spot_check_turns.next_at <= :now
    """
)
_PUT = Statement(
    "INSERT INTO spot_checks (connection, kind, item, at, equal) VALUES (:connection, :kind, :item, :now, :equal)"
)
_SUMS = Statement(
    """
    SELECT f.kind, f.ended_at, count(s.id), coalesce(sum(CASE WHEN s.equal THEN 1 ELSE 0 END), 0)
    FROM full_reads f LEFT JOIN spot_checks s
        ON s.connection = f.connection AND s.kind = f.kind AND s.at > f.ended_at
    WHERE f.connection = :connection GROUP BY f.kind, f.ended_at ORDER BY f.kind
    """
)


def due(conn: Connection, connection: str, now: datetime) -> list[Kind]:
    """The kinds that were read completely once and are due for a check."""
    return [Kind(kind) for (kind,) in _DUE.run(conn, {"connection": connection, "now": now})]


def claim(conn: Connection, connection: str, kind: Kind, now: datetime, next_at: datetime) -> bool:
    """Claim the check of a kind; ``False`` when another process was faster. The next one is due at ``next_at``."""
    params = {"connection": connection, "kind": kind.value, "now": now, "next_at": next_at}
    return _CLAIM.count(conn, params) == 1


def random_keys(conn: Connection, connection: str, kind: Kind, most: int) -> list[Key]:
    """Keys of at most ``most`` random rows, tombstones included: so the index alone answers, however many rows there are."""
    table = sql.shape(kind)
    wanted = f"FROM {table.table} WHERE connection = :connection ORDER BY random() LIMIT :most"
    rows = Statement(f"SELECT {', '.join(table.keys)} {wanted}").run(conn, {"connection": connection, "most": most})
    return [tuple(row) for row in rows]


def put(conn: Connection, connection: str, kind: Kind, checks: Sequence[Check], now: datetime) -> None:
    """Insert the results of checks."""
    shared = {"connection": connection, "kind": kind.value, "now": now}
    if checks:
        _PUT.run_many(conn, [{**shared, "item": check.item, "equal": check.equal} for check in checks])


def sums(conn: Connection, connection: str) -> list[Sums]:
    """The checks since its last complete read, summed for every kind that had one."""
    rows = _SUMS.run(conn, {"connection": connection})
    return [Sums(kind, some_moment(at), checked, equal) for kind, at, checked, equal in rows]
