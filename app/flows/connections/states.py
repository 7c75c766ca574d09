"""The states of connections as this process knows them: read about once a second, and put into words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.domain import ConnectionState
from app.flows.connections.per_database import PerDatabase
from app.flows.deps import Deps
from app.stores import connections
from app.stores.connections import StateRow
from app.stores.sql.engine import DATABASE_ERRORS

KNOWN_FOR = timedelta(seconds=1)
"""How long a process caches the states."""

log = structlog.get_logger()


@dataclass(eq=False)
class _Known:
    """The rows as this process has read them from one database."""

    rows: Sequence[StateRow] = ()
    loaded_at: datetime | None = None


_known_rows = PerDatabase(_Known)


def known(deps: Deps) -> Sequence[StateRow]:
    """The states as of about a second ago; the last known ones while the database is in trouble."""
    here, now = _known_rows.of(deps.database), deps.now()
    if here.loaded_at is None or abs(now - here.loaded_at) >= KNOWN_FOR:
        here.loaded_at = now  # first, so that other threads go on with the known rows
        try:
            with deps.database.read() as conn:
                here.rows = connections.rows(conn)
        except DATABASE_ERRORS as error:
            log.debug("states_not_read", error=str(error))
    return here.rows


def row_of(deps: Deps, connection: str) -> StateRow | None:
    """The state of a connection itself; ``None`` if it never failed."""
    return next((row for row in known(deps) if row.connection == connection and row.kind is None), None)


def forget(deps: Deps) -> None:
    """Read the states again at the next use."""
    _known_rows.of(deps.database).loaded_at = None


def blocking(deps: Deps) -> list[StateRow]:
    """The states because of which something must not be read now."""
    now = deps.now()
    return [row for row in known(deps) if is_blocking(row, deps.credentials.get(row.connection, ""), now)]


def is_blocking(row: StateRow, credentials: str, now: datetime) -> bool:
    """Whether a state keeps us from reading. What was refused with other credentials is tried with the present ones; a kind
    is tried by whoever reads it next when its time has come."""
    rests = row.kind is None or (row.next_probe_at is not None and row.next_probe_at > now)
    match row.state:
        case ConnectionState.PAUSED | ConnectionState.UNANSWERED:
            return rests
        case ConnectionState.REFUSED | ConnectionState.FORBIDDEN:
            return rests and row.credentials == credentials
    return False


def sentence(row: StateRow) -> str:
    """A state in words: the connection, since when (UTC), and why."""
    since = f"since {row.since:%Y-%m-%d %H:%M} UTC"
    why = f" ({row.reason})" if row.reason else ""
    match row.state:
        case ConnectionState.REFUSED:
            return f"{row.connection} has refused our credentials {since}{why}"
        case ConnectionState.UNANSWERED:
            whom = "" if row.kind is None else f" for {row.kind}"
            return f"{row.connection} has not answered{whom} {since}{why}"
        case ConnectionState.PAUSED:
            return f"{row.connection} has been paused by {row.paused_by} {since}{why}"
        case ConnectionState.FORBIDDEN:
            return f"{row.connection} has not let us read {row.kind} {since}{why}"
    return f"{row.connection} is well {since}"
