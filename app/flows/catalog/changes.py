"""The feed of changes: what another program reads to follow the merchant's data, from a cursor on, at least once."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from app.flows.deps import Deps, visible_connections
from app.stores import history
from app.stores.history import Cursor

NOW = "now"
"""In place of a cursor: only what changes from now on."""


class Change(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A change of one row: ``op`` is ``created``, ``updated`` or ``deleted``. ``loaded`` stands for the first load of a
    whole kind: read all its rows once. ``fields`` has the tracked values before and after; a change of others has none."""

    id: int
    op: str
    connection: str
    kind: str
    external_id: str
    location_id: str | None
    state: str | None
    changed_at: datetime
    recorded_at: datetime
    written_by: str | None
    fields: Mapping[str, tuple[Any, Any]]


class Changes(msgspec.Struct, frozen=True):
    """Changes in the order in which they were committed. ``cursor`` is where to read on, also if there were none."""

    rows: list[Change]
    cursor: str


def changes_after(deps: Deps, cursor: str | None, limit: int) -> Changes:
    """The next changes that the caller may see behind a cursor (``NOW`` for later ones only, ``None`` for all that are
    kept). Raises ``InvalidRequest`` for a cursor that is none, or from before the database was restored from a backup."""
    with deps.database.read() as conn:
        start = (
            history.end(conn) if cursor == NOW else history.begin_of(conn) if cursor is None else Cursor.parse(cursor)
        )
        rows, following = history.after(conn, start, visible_connections(deps), limit)
    return Changes([change_of(row) for row in rows], str(following))


def change_of(row: history.AppliedChange) -> Change:
    """A row of the feed as other programs get it."""
    same = {name: getattr(row, name) for name in Change.__struct_fields__ if name in row._fields}
    return Change(**same, fields=row.differences())
