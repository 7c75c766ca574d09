"""Operations about connections: their states; pause, resume and check one."""

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from app.domain.decoding import convert
from app.flows.connections import connections
from app.flows.deps import Deps
from app.web.api.operation import Operations
from app.web.api.params import Params, Text
from app.web.api.responses import Answer, given

CONNECTION = "/api/connections/{connection}"


class ForbiddenKind(Answer, frozen=True):
    """A kind that the credentials may not read."""

    kind: str
    since: str
    reason: str | None
    next_try_at: str | None


class ConnectionState(Answer, frozen=True):
    """The state of a connection: ``ok``, ``refused``, ``unanswered`` or ``paused``; moments are ISO 8601 in UTC."""

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


class Connections(Answer, frozen=True):
    """Every connection that the caller may see, by name."""

    connections: list[ConnectionState]


class CheckedConnection(Answer, frozen=True):
    """The result of a call made now; ``answers`` is null when it could not be made."""

    answers: bool | None
    said: str
    connection: ConnectionState


class Pause(Params, frozen=True, kw_only=True):
    """Why it is paused, for colleagues and the audit log."""

    reason: Text | UnsetType = UNSET


operations = Operations()


@operations.get("/api/connections", "state, since when and why, and the kinds that may not be read")
def list_connections(deps: Deps) -> Connections:
    """The state of each connection."""
    return Connections([_state(view) for view in connections.list_connections(deps)])


@operations.post(CONNECTION + "/pause", "it is paused; webhooks are still accepted", errors=(409,))
def pause_connection(deps: Deps, connection: str, params: Pause) -> ConnectionState:
    """Stop calling a connection's vendor until it is resumed."""
    return _state(connections.pause(deps, connection, given(params.reason)))


@operations.post(CONNECTION + "/resume", "workers fetch what is owed", errors=(409, 422))
def resume_connection(deps: Deps, connection: str) -> ConnectionState:
    """End a person's pause."""
    return _state(connections.resume(deps, connection))


@operations.post(CONNECTION + "/check", "the vendor's answer, and the connection's state after it", errors=(422,))
def check_connection(deps: Deps, connection: str) -> CheckedConnection:
    """Call a connection's vendor now."""
    checked = connections.check(deps, connection)
    return CheckedConnection(checked.answers, checked.said, _state(checked.now))


def _state(view: connections.ConnectionView) -> ConnectionState:
    return convert(view, ConnectionState, from_attributes=True)
