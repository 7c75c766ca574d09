"""Products as they were before implausible changes that were accepted because few came at a time: judged with the next."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from app.rules.guard.traits import OldListing
from app.stores.sql.statements import Statement, json_text

REMEMBERED = timedelta(hours=1)
"""How long an accepted change counts together with the next ones."""

MAX_CHANGES = 1_000
"""At most this many, the newest, are compared again whenever a doubtful change comes."""

_PUT = Statement(
    """
    INSERT INTO trickled_changes (connection, external_id, before, at) VALUES (:connection, :id, :before, :at)
    ON CONFLICT (connection, external_id) DO NOTHING
    """
)
_SINCE = Statement(
    """
    SELECT external_id, before FROM trickled_changes WHERE connection = :connection AND at > :since
    ORDER BY at DESC LIMIT :most
    """
)
_FORGET = Statement("DELETE FROM trickled_changes WHERE connection = :connection AND at <= :since")
_before = msgspec.json.Decoder(OldListing)


def add(conn: Connection, connection: str, before: Mapping[str, OldListing], now: datetime) -> None:
    """Store products that change now, as they were ``before``, by external id; the first state of an hour stays."""
    _FORGET.run(conn, {"connection": connection, "since": now - REMEMBERED})
    rows = [
        {"connection": connection, "id": id, "before": json_text(was), "at": now}
        for id, was in sorted(before.items())
    ]
    _PUT.run_many(conn, rows)


def of(conn: Connection, connection: str, now: datetime) -> dict[str, OldListing]:
    """The products that changed within the last hour, as they were before, by external id."""
    rows = _SINCE.run(conn, {"connection": connection, "since": now - REMEMBERED, "most": MAX_CHANGES})
    return {id: _before.decode(before) for id, before in rows}
