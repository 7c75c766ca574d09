"""Distinguishes trouble of the database from other errors, and records when this process saw it in trouble.

After a fault of the database the same work may succeed a moment later. An error that the data or the statement causes (a
constraint, a value that does not fit, a misspelt column) is not a fault, and stays the driver's error.
"""

import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import psycopg
import structlog
from sqlalchemy import exc

from app.errors import BadConfiguration, DatabaseFault

LOG_EVERY = 10.0
"""Seconds between two log lines that say the database was lost, however often it comes and goes."""

log = structlog.get_logger()


class TransactionUndone(DatabaseFault):
    """The database undid this transaction in favour of another; the same work may be tried again at once."""


class Fault(NamedTuple):
    """What is wrong with the database, in the driver's words.

    ``undone``: only this transaction failed. ``stale``: sessions opened before now may be useless too.
    """

    message: str
    undone: bool = False
    stale: bool = False

    def error(self) -> DatabaseFault:
        """The error to raise for it."""
        return (TransactionUndone if self.undone else DatabaseFault)(self.message)


_UNDONE = frozenset({"40001", "40P01"})  # serialisation failure, deadlock

_STALE_STATES = frozenset(
    {
        "25006",  # read-only: a primary that became a standby
        "25P03",  # the server ended an idle transaction
        "25P04",  # or a long one
        "26000",  # a prepared statement that this session does not have (a pooler swapped the session)
        "42P05",  # or has already
        "57P01",  # the administrator ended the session
        "57P02",  # another session crashed
        "57P03",  # starting up or shutting down
        "57P04",  # the database was dropped
        "57P05",  # the session was idle too long
    }
)
_INTERRUPTED = "57014"  # the statement took too long, or somebody cancelled it
_OTHER_STATES = frozenset(
    {
        "40002",  # an integrity check at commit that another transaction caused
        "40003",  # whether the statement was done is unknown
        "55P03",  # a lock was not available in time
        _INTERRUPTED,
        "72000",  # the snapshot is too old
    }
)
_OTHER_CLASSES = (
    "53",  # no room: disk, memory, connections
    "58",  # the machine under it: files, input, output
    "XX",  # the server itself: a damaged page, an internal error, what a pooler has to say
)
_STALE_CLASSES = ("08",)  # the connection itself

_SQLITE_STALE = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)
_SQLITE_OTHER = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_FULL, sqlite3.SQLITE_PROTOCOL}
)

_REFUSED = re.compile(  # waiting does not help when the server refuses us
    r"(?P<said>(?:\w+ )?authentication failed for user .*|(?:fe_sendauth: )?no password supplied|no pg_hba\.conf entry .*"
    r"|(?:role|database) \".*\" (?:does not exist|is not permitted .*)|permission denied for database .*)",
    re.IGNORECASE,
)
_REFUSES = (
    "the database server refuses us ({said}): correct the user, the password and the database's name in "
    "TALLYHOOK_DATABASE_URL, or what the server knows of them"
)
_OURS = ("number of parameters",)  # psycopg's operational errors without a state that are a statement's own
_LOST = ("the connection is closed", "the connection is lost", "closed database", "connection is closed")


_NO_SCHEMA, _NO_RIGHT = "3F000", "42501"


def refusal_to_migrate(error: exc.ProgrammingError) -> BadConfiguration | None:
    """The sentence for a server that does not let our user make or change tables; ``None`` for any other error."""
    state = error.orig.sqlstate if isinstance(error.orig, psycopg.Error) else None
    if state == _NO_SCHEMA:
        return BadConfiguration(
            "the search_path of TALLYHOOK_DATABASE_URL, or of its user, names no schema that exists: name one "
            "(?options=-csearch_path%3Dpublic), or make it"
        )
    if state == _NO_RIGHT:
        said = str(error.orig).splitlines()[0]
        return BadConfiguration(
            f"the database server does not let the user of TALLYHOOK_DATABASE_URL make the tables ({said}): make that "
            "user the owner of the database, or GRANT it CREATE on the schema"
        )
    return None


def is_interruption(error: BaseException) -> bool:
    """Whether a statement was ended from outside: by a time limit, or because somebody cancelled it."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(cause, psycopg.Error):
        return cause.sqlstate == _INTERRUPTED
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT


def fault_of(error: BaseException) -> Fault | None:
    """The database's trouble behind an error of SQLAlchemy or of a driver; ``None`` when it is not the database's."""
    if isinstance(error, exc.TimeoutError):
        return Fault("every database connection of this process is in use")
    if isinstance(error, exc.PendingRollbackError):
        return Fault(_said(error), stale=True)
    if isinstance(error, exc.InvalidRequestError):  # sessions were replaced twice while this one was being opened
        return Fault(_said(error)) if str(error) == "This connection is closed" else None
    if isinstance(error, exc.DBAPIError):
        inner = fault_of(error.orig) if isinstance(error.orig, Exception) else None
        return inner or (Fault(_said(error), stale=True) if error.connection_invalidated else None)
    if isinstance(error, psycopg.Error):
        return _postgresql(error)
    if isinstance(error, sqlite3.Error):
        return _sqlite(error)
    return None


def _postgresql(error: psycopg.Error) -> Fault | None:
    state = error.sqlstate
    if state is None:
        return _without_state(error)
    if state in _UNDONE:
        return Fault(_said(error), undone=True)
    if state in _STALE_STATES or state.startswith(_STALE_CLASSES) or _is_lost_plan(error):
        return Fault(_said(error), stale=True)
    if state in _OTHER_STATES or state.startswith(_OTHER_CLASSES):
        return Fault(_said(error))
    return None


def _without_state(error: psycopg.Error) -> Fault | None:
    """An error of the driver itself: an operational error concerns the connection, any other only if it says so."""
    text = str(error)
    if isinstance(error, psycopg.OperationalError) and not any(words in text for words in _OURS):
        refused = _REFUSED.search(text)
        return Fault(_REFUSES.format(said=refused["said"]) if refused else _said(error), stale=True)
    return Fault(_said(error), stale=True) if any(words in text for words in _LOST) else None


def _is_lost_plan(error: psycopg.Error) -> bool:
    """Whether a migration changed a table under the prepared statements of this session."""
    return error.sqlstate == "0A000" and "cached plan" in str(error)


def _sqlite(error: sqlite3.Error) -> Fault | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return Fault(_said(error), stale=True) if any(words in str(error) for words in _LOST) else None
    primary = code & 0xFF
    if primary in _SQLITE_STALE:
        return Fault(_said(error), stale=True)
    return Fault(_said(error)) if primary in _SQLITE_OTHER else None


def _said(error: BaseException) -> str:
    """The first line of the driver's message: the rest is SQL and parameters."""
    lines: Iterator[str] = (line.strip() for line in str(error).splitlines())
    return f"{type(error).__name__}: {next((line for line in lines if line), 'no reason given')}"


class Trouble:
    """Records when this process saw the database in trouble; logs one line when it begins and one when it ends.

    After a failed write, only a successful write ends the trouble: a full disk and a standby still answer reads.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._guard = threading.Lock()
        self._since: float | None = None
        self._by_write = False
        self._last: tuple[float, float] | None = None
        self._logged_at: float | None = None
        self._logged = False

    @property
    def now(self) -> bool:
        """Whether the database is in trouble, as far as this process knows."""
        return self._since is not None

    def began(self, fault: Fault, *, writing: bool) -> None:
        """A transaction failed by this fault."""
        with self._guard:
            self._by_write |= writing
            if self._since is not None:
                return
            at = self._since = self._monotonic()
            if self._logged_at is None or at - self._logged_at >= LOG_EVERY:
                self._logged_at, self._logged = at, True
                log.warning("database_lost", error=fault.message)

    def ended(self, *, writing: bool) -> None:
        """A transaction succeeded."""
        if self._since is None or (self._by_write and not writing):
            return
        with self._guard:
            if self._since is None:
                return
            self._last = (self._since, self._monotonic())
            self._since, self._by_write = None, False
            if self._logged:
                self._logged = False
                log.warning("database_back", seconds=round(self._last[1] - self._last[0], 1))

    def clock_stepped(self, seconds: float) -> None:
        """The database's clock jumped ahead: treat it as if the database had been away for this many ``seconds`` until
        now."""
        with self._guard:
            now = self._monotonic()
            if self._since is not None:
                self._since -= seconds
                return
            self._last = (now - seconds, now)
            log.warning("clock_stepped", seconds=round(seconds, 1))

    def ages(self) -> tuple[float, float] | None:
        """How many seconds ago trouble last began, and ended (0.0 if it has not); ``None`` if never."""
        with self._guard:
            now = self._monotonic()
            began, ended = (self._since, now) if self._since is not None else self._last or (None, now)
            return None if began is None else (now - began, now - ended)
