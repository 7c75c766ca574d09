"""Every operation of the API, room by room."""

from app.web.api import access, connections, holds, inbox, letters, queries, replays, runs, watching
from app.web.api.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *runs.OPERATIONS,
    *queries.OPERATIONS,
    *holds.OPERATIONS,
    *connections.OPERATIONS,
    *letters.OPERATIONS,
    *replays.OPERATIONS,
    *inbox.OPERATIONS,
    *watching.OPERATIONS,
    *access.OPERATIONS,
)
