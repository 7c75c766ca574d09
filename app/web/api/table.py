"""The table of operations: what the API serves, each declared once; a file per room."""

from __future__ import annotations

from app.web.api import table_access, table_connections, table_inbox, table_letters, table_replays, table_sync
from app.web.api.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *table_sync.OPERATIONS,
    *table_connections.OPERATIONS,
    *table_letters.OPERATIONS,
    *table_replays.OPERATIONS,
    *table_inbox.OPERATIONS,
    *table_access.OPERATIONS,
)
