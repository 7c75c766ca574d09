"""What people see of connections and do with them: list, pause, resume, check."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from app.domain import ConnectionState
from app.errors import Conflict
from app.flows.access import audit
from app.flows.connections.checks import one_line
from app.flows.connections.probes import check_now
from app.flows.connections.states import forget
from app.flows.deps import Deps, source_of
from app.rules.calls.lanes import Lane, lane
from app.stores import connections, owed
from app.stores.connections import StateRow


class ForbiddenKind(msgspec.Struct, frozen=True):
    """A kind that is left out for now: it may not be read (``forbidden``), or the vendor does not answer for it
    (``unanswered``). Times are ISO 8601 in UTC."""

    kind: str
    since: str
    reason: str | None
    next_try_at: str | None
    state: str = ConnectionState.FORBIDDEN.value


class ConnectionView(msgspec.Struct, frozen=True):
    """A connection: ``state`` is ``ok``, ``refused``, ``unanswered`` or ``paused``; ``since`` is ``None`` if it never
    failed, ``next_probe_at`` if no probe is planned. Times are ISO 8601 in UTC."""

    connection: str
    source: str
    state: str
    since: str | None
    reason: str | None
    next_probe_at: str | None
    probes: int
    paused_by: str | None
    owed: int
    forbidden: Sequence[ForbiddenKind]


class Checked(msgspec.Struct, frozen=True):
    """The result of a check (``answers`` is ``None`` if it could not be made), and the connection as it is ``now``."""

    connection: str
    answers: bool | None
    said: str
    now: ConnectionView


def list_connections(deps: Deps) -> list[ConnectionView]:
    """The configured connections that the caller may see, by name."""
    with deps.database.read() as conn:
        rows = connections.rows(conn)
        return [
            _view(deps, slug, rows, owed.count(conn, slug))
            for slug in sorted(filter(deps.principal.can_see, deps.sources))
        ]


def show_connection(deps: Deps, connection: str) -> ConnectionView:
    """One connection. Raises ``NotFound`` for an unknown one."""
    source_of(deps, connection)
    with deps.database.read() as conn:
        return _view(deps, connection, connections.rows(conn), owed.count(conn, connection))


def pause(deps: Deps, connection: str, reason: str | None = None) -> ConnectionView:
    """Make no calls to the vendor until somebody resumes the connection; webhooks are still accepted, and items stay owed.

    Raises ``NotFound`` for an unknown connection, and ``Conflict`` for one that is paused already.
    """
    before = show_connection(deps, connection)
    why = None if reason is None else one_line(deps.redact(reason))
    with deps.database.begin() as conn:
        if not connections.pause(conn, connection, deps.principal.name, why, deps.now()):
            raise Conflict(f"connection {connection!r} is paused already")
        states = {"before": {"state": before.state}, "after": {"state": ConnectionState.PAUSED.value}}
        _note(deps, conn, connection, "pause", why=why, **states)
    forget(deps)
    return show_connection(deps, connection)


def resume(deps: Deps, connection: str) -> ConnectionView:
    """End a pause; within seconds the vendor is called and the owed items are synced.

    Raises ``NotFound`` for an unknown connection, and ``Conflict`` for one that nobody paused.
    """
    source_of(deps, connection)
    with deps.database.begin() as conn:
        if not connections.resume(conn, connection, deps.now()):
            raise Conflict(f"connection {connection!r} is not paused by a person")
        states = {"before": {"state": ConnectionState.PAUSED.value}, "after": {"state": ConnectionState.OK.value}}
        _note(deps, conn, connection, "resume", **states)
    forget(deps)
    return show_connection(deps, connection)


def check(deps: Deps, connection: str) -> Checked:
    """Call the vendor now, and update the state (a person's pause stays). If it answers, kinds that could not be read are
    tried again at once.

    Raises ``NotFound`` for an unknown connection.
    """
    source_of(deps, connection)
    forget(deps)
    with lane(Lane.PERSON):
        verdict = check_now(deps, connection)
    answers = None if verdict.state is None else verdict.state is ConnectionState.OK
    said = one_line(deps.redact(verdict.reason)) or "the vendor answers"
    with deps.database.begin() as conn:
        if answers:
            connections.try_kinds(conn, connection, deps.now())
        _note(deps, conn, connection, "check", after={"said": said})
    forget(deps)
    return Checked(connection, answers, said, show_connection(deps, connection))


def _note(deps: Deps, conn: Connection, connection: str, verb: str, **details: Any) -> None:
    audit.note(deps, conn, f"connections.{verb}", f"connection {connection}", connection=connection, **details)


def _view(deps: Deps, connection: str, rows: Sequence[StateRow], waiting: int) -> ConnectionView:
    mine = [row for row in rows if row.connection == connection]
    own = next((row for row in mine if row.kind is None), None)
    return ConnectionView(
        connection=connection,
        source=deps.sources[connection].name,
        state=ConnectionState.OK.value if own is None else own.state.value,
        since=None if own is None else own.since.isoformat(),
        reason=None if own is None else own.reason,
        next_probe_at=_iso(own),
        probes=0 if own is None else own.probes,
        paused_by=None if own is None else own.paused_by,
        owed=waiting,
        forbidden=[
            ForbiddenKind(str(row.kind), row.since.isoformat(), row.reason, _iso(row), row.state.value)
            for row in mine
            if row.kind is not None
        ],
    )


def _iso(row: StateRow | None) -> str | None:
    return None if row is None or row.next_probe_at is None else row.next_probe_at.isoformat()
