"""Every operation of the API, room by room."""

from app.web.api import access, connections, holds, inbox, items, letters, queries, replays, runs, subscribers
from app.web.api.operation import Operation

_ROOMS = (runs, queries, items, holds, connections, letters, replays, inbox, subscribers, access)

OPERATIONS: tuple[Operation, ...] = tuple(one for room in _ROOMS for one in room.operations)
