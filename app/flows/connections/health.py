"""Decides whether a failed call is the fault of the item, its kind or the whole connection; and what may be read now.

A fault harms only what it touches. After a failed call we make one cheap call (``Checkable``): if that fails too, the
connection refuses us or does not answer, and pauses; if it succeeds, a refused list is the kind's fault. If items were
refused or not answered, we fetch others of the kind: if these fail too, the kind pauses, else it is the item's own fault.
Nothing here may be called inside a transaction.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from app.domain import ConnectionState, Kind
from app.errors import AuthRejected, BadAnswer, DatabaseFault, Unavailable, VendorForbidden, VendorRefused
from app.flows.connections.checks import Verdict, allow, record_answer, record_failure, record_kind, verdict_on
from app.flows.connections.controls import is_answered
from app.flows.connections.limited import not_limited
from app.flows.connections.per_database import InProgress
from app.flows.connections.states import blocking, forget, known, sentence
from app.flows.deps import Deps
from app.stores import connections

JUDGED = (Unavailable, BadAnswer, AuthRejected, VendorRefused)
"""Errors that may concern more than one item: even the account's cheapest call may end with them."""


class Fault(StrEnum):
    """What a failure concerns."""

    ITEM = "item"
    KIND = "kind"
    CONNECTION = "connection"


def judge(deps: Deps, connection: str, kind: Kind, error: Exception, failed: Sequence[str] = ()) -> Fault:
    """What an error of a vendor's call concerns. If it is the kind or the connection, this is recorded and logged once,
    and ``blocked`` says so from now on: the caller gives its work back without counting an attempt.

    ``failed`` are the items that were fetched together, empty for a list of the kind. May call the vendor a few times
    (``Checkable``, ``controls``). Raises a ``DatabaseFault`` again.
    """
    if isinstance(error, DatabaseFault):
        raise error
    if not isinstance(error, JUDGED):
        return Fault.ITEM
    if connection in paused(deps):
        return Fault.CONNECTION
    if kind in forbidden(deps, connection):
        return Fault.KIND
    verdict = verdict_on(deps, connection, error)
    if verdict is None:  # another thread is calling: this one comes back when the answer is known
        return Fault.CONNECTION
    if verdict.state in (ConnectionState.REFUSED, ConnectionState.UNANSWERED):
        record_failure(deps, connection, verdict)
        return Fault.CONNECTION
    if verdict.state is ConnectionState.OK:
        record_answer(deps, connection, verdict)
    if isinstance(error, AuthRejected):
        return _refused(deps, connection, kind, error, failed, verdict)
    if isinstance(error, VendorRefused) or verdict.state is None:
        return Fault.ITEM
    return _of_kind_or_item(deps, connection, kind, error, failed)


def blocked(deps: Deps, connection: str, kind: Kind | None = None) -> str | None:
    """Why nothing of the connection (or of this kind) may be read now; ``None`` if all is well. Cheap: cached for about a
    second."""
    for row in blocking(deps):
        if row.connection == connection and row.kind in (None, kind):
            return sentence(row)
    return None


def paused(deps: Deps) -> frozenset[str]:
    """The connections that must not be called now; cached for about a second."""
    return frozenset(row.connection for row in blocking(deps) if row.kind is None)


def forbidden(deps: Deps, connection: str) -> frozenset[Kind]:
    """The kinds of a connection that must not be read now: those that we may not read, and those for which the vendor does
    not answer; cached for about a second."""
    return frozenset(row.kind for row in blocking(deps) if row.kind is not None and row.connection == connection)


def resting(deps: Deps) -> frozenset[str]:
    """What must not be read now, by name: connections (``shop``) and single kinds (``shop/vendor``); cached for about
    a second."""
    return frozenset(row.connection if row.kind is None else f"{row.connection}/{row.kind}" for row in blocking(deps))


def is_silent(deps: Deps, connection: str, kind: Kind) -> bool:
    """Whether the vendor does not answer for a kind, though its account does."""
    silent = ConnectionState.UNANSWERED
    return any((row.connection, row.kind, row.state) == (connection, kind, silent) for row in blocking(deps))


def answered(deps: Deps, connection: str, kind: Kind, began: datetime) -> None:
    """Record that a call that began then read items of a kind: older evidence against the kind no longer counts, and the
    vendor does not limit us."""
    not_limited(deps, connection, kind)
    if any((row.connection, row.kind) == (connection, kind) and row.seen_at < began for row in known(deps)):
        allow(deps, connection, kind, began)


def readable(deps: Deps, connection: str, kinds: Sequence[Kind]) -> tuple[Kind, ...]:
    """The kinds that we may read now, in their order."""
    left_out = forbidden(deps, connection)
    return tuple(kind for kind in kinds if kind not in left_out)


def doubt(deps: Deps, connection: str) -> None:
    """Have the next probe check the connection, because it may not work any more."""
    deps.database.transact(lambda conn: connections.doubt(conn, connection, deps.now()))
    forget(deps)


def _refused(
    deps: Deps, connection: str, kind: Kind, error: AuthRejected, failed: Sequence[str], verdict: Verdict
) -> Fault:
    """A refused list is the kind's fault; a refused item is, only if others of the kind are refused too."""
    if verdict.state is ConnectionState.OK and failed:
        return _of_kind_or_item(deps, connection, kind, error, failed)
    if verdict.state is ConnectionState.OK or isinstance(error, VendorForbidden):
        record_kind(deps, connection, kind, error)
        return Fault.KIND
    record_failure(deps, connection, Verdict(verdict.began, ConnectionState.REFUSED, str(error)))
    return Fault.CONNECTION  # the vendor could not be asked


def _of_kind_or_item(deps: Deps, connection: str, kind: Kind, error: Exception, failed: Sequence[str]) -> Fault:
    """If no other item can be fetched, silence is the item's fault and a refusal the kind's."""
    try:
        answers = is_answered(deps, connection, kind, failed)
    except InProgress:  # this one comes back when the answer is known
        return Fault.CONNECTION
    if answers or (answers is None and not isinstance(error, AuthRejected)):
        return Fault.ITEM
    record_kind(deps, connection, kind, error)
    return Fault.KIND
