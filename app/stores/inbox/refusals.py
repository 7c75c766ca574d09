"""Deliveries that were refused: kept with their moment, to tell later what was not heard because of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from app.domain import Kind, Ref
from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement, storable

MOST = 5_000
"""Refusals that an answer has at most, the newest."""

_NOTE = Statement(
    """
    INSERT INTO refusals (connection, at, reason, items, count) VALUES (:connection, :at, :reason, :items, :count)
    """
)
_SINCE = Statement(
    """
    SELECT at, items, count FROM refusals WHERE connection = :connection AND at >= :since ORDER BY at DESC LIMIT :most
    """
)


_LATEST = Statement(
    """
    SELECT at, reason FROM refusals WHERE connection = :connection ORDER BY at DESC, id DESC LIMIT 1
    """
)


class Latest(NamedTuple):
    """The refusal of the last delivery that was refused, and why."""

    at: datetime
    reason: str


class Refused(NamedTuple):
    """Deliveries refused at a moment; ``items`` is what the one that was read claimed to be about."""

    at: datetime
    items: tuple[Ref, ...]
    deliveries: int


def note(
    conn: Connection, connection: str, at: datetime, reason: str, items: Sequence[Ref] = (), *, count: int = 1
) -> None:
    """Remember that ``count`` deliveries were refused."""
    named = msgspec.json.encode([[item.kind, storable(item.external_id)] for item in items]).decode()
    _NOTE.run(conn, {"connection": connection, "at": at, "reason": reason[:500], "items": named, "count": count})


def since(conn: Connection, connection: str, moment: datetime) -> list[Refused]:
    """What was refused since a moment, newest first, at most ``MOST``."""
    found = []
    for at, items, count in _SINCE.run(conn, {"connection": connection, "since": moment, "most": MOST}):
        refs = tuple(Ref(Kind(kind), external_id) for kind, external_id in msgspec.json.decode(items))
        seen = moment_from(at)
        if seen is not None:
            found.append(Refused(seen, refs, count))
    return found


def latest(conn: Connection, connection: str) -> Latest | None:
    """The last one of a connection."""
    for at, reason in _LATEST.run(conn, {"connection": connection}):
        seen = moment_from(at)
        if seen is not None:
            return Latest(seen, reason)
    return None
