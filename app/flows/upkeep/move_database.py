"""Moves an installation to another database: copies everything while no process runs, and verifies the copy."""

from collections.abc import Callable
from datetime import datetime

from app.errors import Conflict
from app.flows.reports.status import ALIVE
from app.stores.sql.engine import Database
from app.stores.upkeep import copying, heartbeats
from app.stores.upkeep.copying import Copied


def move_database(
    source: Database, target: Database, now: datetime, on_progress: Callable[[str, int], None]
) -> list[Copied]:
    """Copy every row of ``source`` into ``target``, and create its schema if it has none; returns what was copied.

    ``now`` is the source's time. Raises ``Conflict``, and leaves both as they were, if the source's schema is not the
    present one, a process still works on it, the target has rows, or a row did not arrive unchanged.
    """
    if not source.at_head():
        raise Conflict("the database's schema is not this program's; run `tallyhook migrate` first")
    with source.read() as conn:
        working = heartbeats.living(conn, now - ALIVE)
    if working:
        raise Conflict(
            f"{', '.join(working)} gave a sign of life less than {ALIVE.seconds} s ago: stop web, workers and clock "
            "first, or what they write meanwhile would be missing in the copy"
        )
    target.migrate()
    return copying.copy(source, target, on_progress)
