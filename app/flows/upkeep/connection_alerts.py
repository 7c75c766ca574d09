"""Alerts about connections that are paused or do not work, kinds that may not be read, and held batches."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection

from app.domain import ConnectionState
from app.flows.connections.checks import allow
from app.flows.connections.states import sentence
from app.flows.deps import Deps
from app.flows.upkeep.raise_alert import close_alert, raise_alert
from app.rules.calls.probing import KIND_LONGEST
from app.stores import connections, owed
from app.stores.catalog import watermarks
from app.stores.connections import StateRow
from app.stores.guard import holds
from app.stores.guard.holds import Hold
from app.stores.upkeep import alerts

SEVERITIES = {
    ConnectionState.REFUSED: "critical",
    ConnectionState.UNANSWERED: "warning",
    ConnectionState.PAUSED: "info",
}

KEYS = ("connection:", "forbidden:", "hold:")
"""The prefixes of these alerts' keys."""


class DueAlert(NamedTuple):
    """An alert that should be open now."""

    key: str
    title: str
    detail: str
    severity: str
    connection: str


def watch_connections(deps: Deps) -> None:
    """Raise, update and close these alerts; any number of processes may do so at once."""
    _allow_read_kinds(deps)
    with deps.database.read() as conn:
        due = [*_of_states(deps, conn), *map(_of_hold, holds.open_(conn))]
        known = [key for prefix in KEYS for key in alerts.open_keys(conn, prefix)]
    for alert in due:
        raise_alert(deps, *alert)
    for key in set(known) - {alert.key for alert in due}:
        close_alert(deps, key)


def _allow_read_kinds(deps: Deps) -> None:
    """Allow the kinds that were read completely since they were forbidden."""
    with deps.database.read() as conn:
        read = [
            (row.connection, row.kind, pulled_at)
            for row in connections.rows(conn)
            if row.kind is not None
            and (pulled_at := watermarks.pulled_at(conn, row.connection, row.kind)) is not None
            and pulled_at > row.seen_at
        ]
    for connection, kind, pulled_at in read:
        allow(deps, connection, kind, pulled_at)


def _of_states(deps: Deps, conn: Connection) -> Iterator[DueAlert]:
    for row in connections.rows(conn):
        if row.connection not in deps.sources:
            continue
        if row.kind is None and row.state in SEVERITIES:
            yield _of_connection(row, owed.count(conn, row.connection))
        elif row.kind is not None and _is_certain(row):
            yield _of_kind(row)


def _of_connection(row: StateRow, waiting: int) -> DueAlert:
    words = {
        ConnectionState.REFUSED: "refuses our credentials",
        ConnectionState.UNANSWERED: "does not answer",
        ConnectionState.PAUSED: "is paused",
    }
    again = f"; it is called again at {row.next_probe_at:%H:%M} UTC" if row.next_probe_at is not None else ""
    waits = f"{waiting:,} {'item waits' if waiting == 1 else 'items wait'}"
    key, title = f"connection:{row.connection}", f"{row.connection} {words[row.state]}"
    return DueAlert(key, title, f"{sentence(row)}; {waits}{again}.", SEVERITIES[row.state], row.connection)


def _is_certain(row: StateRow) -> bool:
    """One refusal may be a token that was renewed a moment later; a vendor's 403 or a second refusal is not."""
    lasts = row.next_probe_at is not None and row.next_probe_at - row.seen_at >= KIND_LONGEST
    return lasts or row.probes > 0


def _of_kind(row: StateRow) -> DueAlert:
    if row.state is ConnectionState.UNANSWERED:
        title, again = f"{row.connection}: no answer for {row.kind}", "every few minutes; its owed items wait"
    else:
        title, again = f"{row.connection}: {row.kind} may not be read", "each hour, and when credentials change"
    detail = f"{sentence(row)}; all other kinds are read. It is tried again {again}."
    return DueAlert(f"forbidden:{row.connection}:{row.kind}", title, detail, "warning", row.connection)


def _of_hold(hold: Hold) -> DueAlert:
    connection, kind = hold.connection, hold.kind
    would = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in hold.summary.items())
    detail = (
        f"a read of {kind} of {connection} is implausible and has been held since {hold.held_at:%Y-%m-%d %H:%M} UTC: "
        f"{hold.reason} ({would}). Look at it (`tallyhook holds show {hold.id}`), then `release` or `dismiss` it."
    )
    return DueAlert(f"hold:{connection}:{kind}", f"{connection}: {kind} is held", detail, "warning", connection)
