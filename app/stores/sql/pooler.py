"""Supports a pooler in front of PostgreSQL (PgBouncer in transaction mode), which lends another session to each transaction.

Then no prepared statement is kept in a session, and no setting outlives a transaction. If the URL does not mention a
pooler, it is detected: the session that answers is not the one that greeted us.
"""

import threading
from typing import Any

import structlog

from app.errors import BadConfiguration

# A server or a role may have other settings, but the driver reads times in one style only, and none beyond the year
# 9999, which other time zones may make of what Square calls "never".
_OURS = """SELECT pg_backend_pid(), set_config('client_encoding', 'UTF8', false), set_config('DateStyle', 'ISO', false),
    set_config('TimeZone', 'UTC', false)"""
_FOR_WRITES = "SELECT set_config('enable_seqscan', 'off', {0}), set_config('jit', 'off', {0})"
_FOR_READS = "SET LOCAL enable_seqscan = on"

LOST_STATEMENTS = frozenset({"26000", "42P05"})  # a prepared statement is not in this session, or is already

log = structlog.get_logger()


class Pooler:
    """Knows whether this process uses a pooler, and prepares sessions accordingly. Thread-safe.

    Writes find their rows by key. A plan that was made while a table was empty, and kept, would scan all of it when it
    has 200,000 items (50 ms instead of 0.5 ms an item, measured). So sequential scans are off for writes, and ``jit`` too,
    because before version 18 a plan that uses a ruled-out scan looks expensive enough to compile. Our own sessions keep
    these settings; a pooler's get them for each transaction.

    ``declared`` is what the URL says, ``None`` if nothing; ``prepare_threshold`` is for our own sessions.
    """

    def __init__(self, declared: bool | None = False, prepare_threshold: int | None = None) -> None:
        self.is_there = declared is True
        self._is_unknown = declared is None
        self._prepare_threshold = prepare_threshold
        self._guard = threading.Lock()

    def opened(self, connection: Any) -> None:
        """Set up a new connection of psycopg that prepares no statements yet. Raises what the driver raises, and
        ``BadConfiguration`` for a database that cannot hold every text."""
        _refuse_other_encodings(connection)
        is_own = _set_up(connection)
        if self._is_unknown and not self.is_there and not is_own:
            self._found("its sessions change under the connection")
        if not self.is_there:
            connection.prepare_threshold = self._prepare_threshold
            connection.execute(_FOR_WRITES.format("false"))
            connection.commit()

    def note_error(self, error: BaseException) -> None:
        """Note the error of a failed transaction: it may reveal a pooler to the connections opened from now on."""
        if not self.is_there and _state(error) in LOST_STATEMENTS:
            self._found(f"a prepared statement was lost ({_state(error)})")

    def setting(self, *, writing: bool) -> str | None:
        """The statement that a transaction (not a single statement) must begin with for good plans; ``None`` if none."""
        if self.is_there:
            return _FOR_WRITES.format("true") if writing else None
        return None if writing else _FOR_READS

    def _found(self, reason: str) -> None:
        with self._guard:
            if self.is_there:
                return
            self.is_there = True
        log.warning("database_pooler_found", reason=reason, advice="add pgbouncer=true to the database URL")


def _refuse_other_encodings(connection: Any) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):
        raise BadConfiguration(
            f"the database has the encoding {encoding}, which cannot hold every text of a vendor; "
            "make one with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )


def _set_up(connection: Any) -> bool:
    """Make settings that a pooler also keeps for its client. Returns whether the session is our own: a pooler greets its
    client with an invented process id, so the session's own differs."""
    connection.autocommit = True
    answers = connection.execute(_OURS).fetchone()[0]
    connection.autocommit = False
    return bool(answers == connection.info.backend_pid)


def _state(error: BaseException) -> str | None:
    state: str | None = getattr(getattr(error, "orig", error), "sqlstate", None)
    return state
