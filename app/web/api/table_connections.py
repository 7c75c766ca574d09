"""The operations about connections themselves."""

from __future__ import annotations

from app.web.api import connections
from app.web.api.operation import Operation

BASE = "/api/connections"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        BASE,
        "The state of each connection",
        connections.list_connections,
        connections.Connections,
        "state, since when and why, and the kinds that may not be read",
    ),
    Operation(
        "POST",
        BASE + "/{connection}/pause",
        "Stop calling a connection's vendor until it is resumed",
        connections.pause_connection,
        connections.ConnectionState,
        "it is paused; webhooks are still accepted",
        connections.Pause,
        in_body=True,
        errors=(408, 409, 413, 422),
    ),
    Operation(
        "POST",
        BASE + "/{connection}/resume",
        "End a person's pause",
        connections.resume_connection,
        connections.ConnectionState,
        "workers fetch what is owed",
        errors=(409, 422),
    ),
    Operation(
        "POST",
        BASE + "/{connection}/check",
        "Call a connection's vendor now",
        connections.check_connection,
        connections.CheckedConnection,
        "the vendor's answer, and the connection's state after it",
        errors=(422,),
    ),
)
