"""Whose fault a failed call is: the item's, its kind's, or the whole connection's; and what may be asked at all now.

A fault harms only what it touches. Where a call fails, the source is asked one cheap thing (``Checkable``): if even that
fails the connection refuses us or does not answer, and pauses; if it is answered, a 401 or 403 is the kind's, and
anything else the item's own. Nothing here may be called inside a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from app.domain import ConnectionState, Kind
from app.errors import (
    AuthRejected,
    BadAnswer,
    ConnectionPaused,
    DatabaseFault,
    Forbidden,
    Unavailable,
)
from app.flows.checks import Verdict, record_answer, record_failure, record_forbidden, verdict_on
from app.flows.deps import Deps
from app.flows.states import blocking, forget, sentence
from app.stores import connections


class Fault(StrEnum):
    """Whom a failure concerns."""

    ITEM = "item"
    KIND = "kind"
    CONNECTION = "connection"


def judge(deps: Deps, connection: str, kind: Kind, error: Exception) -> Fault:
    """Whom an error of a vendor's call concerns. If it is the kind or the connection, that is recorded, logged once,
    and ``blocked`` says so from now on: the caller gives its work back without counting an attempt.

    May call the vendor once (``Checkable``). A ``DatabaseFault`` is raised again.
    """
    if isinstance(error, DatabaseFault):
        raise error
    if isinstance(error, ConnectionPaused):
        return Fault.CONNECTION
    if not isinstance(error, (Unavailable, BadAnswer, AuthRejected)):
        return Fault.ITEM
    if connection in paused(deps):
        return Fault.CONNECTION
    if isinstance(error, AuthRejected) and kind in forbidden(deps, connection):
        return Fault.KIND
    verdict = verdict_on(deps, connection, error)
    if verdict is None:  # another thread is calling: this one comes back when the answer is known
        return Fault.CONNECTION
    return _concluded(deps, connection, kind, error, verdict)


def blocked(deps: Deps, connection: str, kind: Kind | None = None) -> str | None:
    """Why nothing of the connection (or of this kind of it) is to be asked now, ``None`` when all is well. Cheap: known
    for about a second."""
    for row in blocking(deps):
        if row.connection == connection and row.kind in (None, kind):
            return sentence(row)
    return None


def paused(deps: Deps) -> frozenset[str]:
    """The connections that are not to be asked now; known for about a second."""
    return frozenset(row.connection for row in blocking(deps) if row.kind is None)


def forbidden(deps: Deps, connection: str) -> frozenset[Kind]:
    """The kinds of a connection that we may not read now; known for about a second."""
    return frozenset(row.kind for row in blocking(deps) if row.kind is not None and row.connection == connection)


def readable(deps: Deps, connection: str, kinds: Sequence[Kind]) -> tuple[Kind, ...]:
    """Those of the kinds that we may read now, in their order."""
    left_out = forbidden(deps, connection)
    return tuple(kind for kind in kinds if kind not in left_out)


def doubt(deps: Deps, connection: str) -> None:
    """Have the connection checked by the next probe: something says that it may not work any more."""
    deps.database.transact(lambda conn: connections.doubt(conn, connection, deps.now()))
    forget(deps)


def _concluded(deps: Deps, connection: str, kind: Kind, error: Exception, verdict: Verdict) -> Fault:
    if verdict.state in (ConnectionState.REFUSED, ConnectionState.UNANSWERED):
        record_failure(deps, connection, verdict)
        return Fault.CONNECTION
    if verdict.state is ConnectionState.OK:
        record_answer(deps, connection, verdict)
    if not isinstance(error, AuthRejected):
        return Fault.ITEM
    if verdict.state is ConnectionState.OK or isinstance(error, Forbidden):
        record_forbidden(deps, connection, kind, error)
        return Fault.KIND
    refusal = Verdict(verdict.began, ConnectionState.REFUSED, str(error))  # the vendor could not be asked
    record_failure(deps, connection, refusal)
    return Fault.CONNECTION
