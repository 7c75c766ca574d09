"""Refused deliveries, kept with their times to explain later which changes were missed."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from app.domain import Kind, Ref
from app.stores.sql.columns import some_moment
from app.stores.sql.statements import Statement, json_text, storable

MAX_ROWS = 5_000
"""Refusals that ``since`` returns at most, the newest."""

_NOTE = Statement(
    """
    INSERT INTO refusals (connection, at, reason, items, count) VALUES (:connection, :at, :reason, :items, :count)
    """
)
_SINCE = Statement(
    """
    SELECT at, items, count FROM refusals WHERE connection = :connection AND at >= :since ORDER BY at DESC LIMIT :limit
    """
)


_LATEST = Statement(
    """
    SELECT at, reason FROM refusals WHERE connection = :connection ORDER BY at DESC, id DESC LIMIT 1
    """
)


class Latest(NamedTuple):
    """When the latest refused delivery came, and why it was refused."""

    at: datetime
    reason: str


class Refused(NamedTuple):
    """Deliveries refused at a moment; ``items`` are those that the parsed one named."""

    at: datetime
    items: tuple[Ref, ...]
    deliveries: int


def note(
    conn: Connection, connection: str, at: datetime, reason: str, items: Sequence[Ref] = (), *, count: int = 1
) -> None:
    """Store that ``count`` deliveries were refused."""
    named = json_text([[item.kind, storable(item.external_id)] for item in items])
    _NOTE.run(conn, {"connection": connection, "at": at, "reason": reason[:500], "items": named, "count": count})


def since(conn: Connection, connection: str, moment: datetime) -> list[Refused]:
    """The refusals since a moment, newest first, at most ``MAX_ROWS``."""
    refusals = []
    for at, items, count in _SINCE.run(conn, {"connection": connection, "since": moment, "limit": MAX_ROWS}):
        refs = tuple(Ref(Kind(kind), external_id) for kind, external_id in msgspec.json.decode(items))
        refusals.append(Refused(some_moment(at), refs, count))
    return refusals


def latest(conn: Connection, connection: str) -> Latest | None:
    """The latest refusal of a connection."""
    rows = _LATEST.run(conn, {"connection": connection})
    return Latest(some_moment(rows[0][0]), rows[0][1]) if rows else None
