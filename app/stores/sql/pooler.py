"""Speaks to PostgreSQL through a pooler (PgBouncer in transaction mode) that lends another session for each transaction.

What belongs to a session is then not ours: no prepared statement is kept there, and no setting outlives a transaction.
Who does not say so in the URL is found out: the session that answers is not the one we were connected to.
"""

from __future__ import annotations

import threading
from typing import Any

import structlog

from app.errors import BadConfiguration

# As what a server or a role may have set otherwise: the driver reads times in one style only, and none beyond the year
# 9999, which other time zones may make of what Square calls "never".
_OURS = """SELECT pg_backend_pid(), set_config('client_encoding', 'UTF8', false), set_config('DateStyle', 'ISO', false),
    set_config('TimeZone', 'UTC', false)"""
_FOR_WRITES = "SELECT set_config('enable_seqscan', 'off', {0}), set_config('jit', 'off', {0})"
_FOR_READS = "SET LOCAL enable_seqscan = on"

LOST_STATEMENTS = frozenset({"26000", "42P05"})  # a prepared statement is not in this session, or is already

log = structlog.get_logger()


class Pooler:
    """Whether a process speaks to a pooler; once that is seen it stays so. Safe to share between threads.

    Writes find their rows by key. A plan made while a table was empty, and kept, would still read it from end to end
    when 200,000 items are in it (50 ms instead of 0.5 ms an item, measured), so that plan is ruled out but for reads; and
    before version 18 a plan ruled out looks dear enough to compile. Sessions of our own have that setting, those of a
    pooler get it for a transaction.

    ``declared``: what the URL says, ``None`` if nothing. ``prepare_threshold`` holds for sessions that are our own.
    """

    def __init__(self, declared: bool | None = False, prepare_threshold: int | None = None) -> None:
        self.is_there = declared is True
        self._is_unknown = declared is None
        self._prepare_threshold = prepare_threshold
        self._guard = threading.Lock()

    def opened(self, connection: Any) -> None:
        """A connection of psycopg was opened that prepares nothing yet. Raises what the driver raises, and
        ``BadConfiguration`` for a database that cannot hold every text."""
        _refuse_other_encodings(connection)
        is_own = _set_up(connection)
        if self._is_unknown and not self.is_there and not is_own:
            self._found("its sessions change under the connection")
        if not self.is_there:
            connection.prepare_threshold = self._prepare_threshold
            connection.execute(_FOR_WRITES.format("false"))
            connection.commit()

    def suspect(self, error: BaseException) -> None:
        """A transaction failed by this; connections that are opened from now on may have to be others."""
        if not self.is_there and _state(error) in LOST_STATEMENTS:
            self._found(f"a prepared statement was lost ({_state(error)})")

    def setting(self, *, writing: bool) -> str | None:
        """What a transaction (not a statement alone) must say first, so that it is planned as it should be."""
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
    """Settings that a pooler, too, keeps for its client. Returns whether the session is our own: a pooler invents the
    process id that a client is greeted with, so the session's own is another one."""
    connection.autocommit = True
    answers = connection.execute(_OURS).fetchone()[0]
    connection.autocommit = False
    return bool(answers == connection.info.backend_pid)


def _state(error: BaseException) -> str | None:
    state: str | None = getattr(getattr(error, "orig", error), "sqlstate", None)
    return state
