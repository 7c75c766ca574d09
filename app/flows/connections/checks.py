"""Calls a source to find out whether the account answers us, and records the result."""

from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from app.domain import ConnectionState, Kind, Ref
from app.errors import (
    AuthRejected,
    BudgetSpent,
    DatabaseFault,
    Permanent,
    RateLimited,
    TallyhookError,
    Transient,
    VendorForbidden,
    VendorRefused,
)
from app.flows.connections.per_database import InProgress, PerDatabase, Shared
from app.flows.connections.states import forget, row_of
from app.flows.deps import Deps
from app.rules.calls.calling import PROBE, calling_for
from app.rules.calls.probing import FIRST, wait_before_probe, wait_before_reading
from app.sources import exchanges
from app.sources.base import Checkable
from app.stores import catalog, connections
from app.stores.connections import Evidence

VERDICT_FOR = timedelta(seconds=5)
"""How long the result of a check counts for other failures in the same process."""

SHOWN = 3
"""How many items are fetched before we conclude that the vendor shows none."""

LONGEST_REASON = 500

log = structlog.get_logger()


class Verdict(NamedTuple):
    """The result of a check that began then; ``state`` is ``None`` if the check could not be made."""

    began: datetime
    state: ConnectionState | None
    reason: str = ""


_verdicts: PerDatabase[Shared[str, Verdict]] = PerDatabase(Shared)


def verdict_on(deps: Deps, connection: str, error: Exception) -> Verdict | None:
    """A recent verdict, or a new one; ``None`` while another thread is calling."""
    now = deps.now()

    def is_recent(verdict: Verdict) -> bool:
        return now - verdict.began < VERDICT_FOR and _explains(verdict, error)

    try:
        return _verdicts.of(deps.database).find(connection, is_recent, lambda: call(deps, connection))
    except InProgress:
        return None


def _explains(recent: Verdict, error: Exception) -> bool:
    """Whether a verdict explains an error. That the account answered earlier says nothing about a refusal: the credentials
    may have expired since."""
    return recent.state is not ConnectionState.OK or not isinstance(error, AuthRejected)


def call(deps: Deps, connection: str) -> Verdict:
    """Call the vendor now and keep the verdict. Raises ``DatabaseFault`` if the call budget could not be read."""
    began = deps.now()
    verdict = Verdict(began, *_check(deps, connection))
    _verdicts.of(deps.database).results[connection] = verdict
    return verdict


def _check(deps: Deps, connection: str) -> tuple[ConnectionState | None, str]:
    """The state and the reason. A vendor that limits us, or forbids only this call, has answered. One that fails even its
    cheapest call, and shows no item either, fails every call: it is down, the account is not paid for, or its API has
    changed."""
    source = deps.sources[connection]
    if not isinstance(source, Checkable):
        return None, "this source cannot be checked"
    try:
        with exchanges.unwatched(), calling_for(PROBE):
            source.check()
    except DatabaseFault:
        raise
    except BudgetSpent as error:
        return None, str(error)
    except (RateLimited, VendorForbidden):
        return ConnectionState.OK, ""
    except AuthRejected as error:
        return ConnectionState.REFUSED, str(error)
    except VendorRefused as error:
        return (ConnectionState.OK, "") if _shows_an_item(deps, connection) else (ConnectionState.REFUSED, str(error))
    except Permanent:
        return ConnectionState.OK, ""
    except Transient as error:
        failed_before = row_of(deps, connection) is not None  # else an outage would cost these calls at its beginning
        shows = failed_before and _shows_an_item(deps, connection)
        return (ConnectionState.OK, "") if shows else (ConnectionState.UNANSWERED, str(error))
    except Exception as error:  # a bug of ours says nothing about the vendor, and is no item's fault
        log.exception("check_failed", source=source.name)
        return None, f"{type(error).__name__}: {error}"
    return ConnectionState.OK, ""


def _shows_an_item(deps: Deps, connection: str) -> bool:
    """Whether the vendor still shows some item that we hold: then it fails the cheap call for that call's own sake."""
    source = deps.sources[connection]
    for ref in _held_items(deps, connection)[:SHOWN]:
        try:
            with exchanges.unwatched(), calling_for(PROBE):
                if source.fetch([ref]).records:
                    return True
        except DatabaseFault:
            raise
        except TallyhookError:  # this one is refused or not answered as well
            continue
    return False


def _held_items(deps: Deps, connection: str) -> list[Ref]:
    """Items that we hold: of each kind one, then of each another one, which are not lists."""
    source = deps.sources[connection]
    kinds = [kind for kind in source.kinds if kind not in source.listed_kinds]  # a list is no cheap call
    with deps.database.read() as conn:
        held = [[Ref(kind, id) for id in catalog.lately_read(conn, connection, kind, 2)] for kind in kinds]
    return [of_kind[place] for place in range(2) for of_kind in held if place < len(of_kind)]


def record_failure(deps: Deps, connection: str, verdict: Verdict) -> None:
    """Record that the connection refuses us or does not answer; only the first report changes its state."""
    evidence, next_probe_at = evidence_of(deps, connection, verdict), deps.now() + FIRST
    if deps.database.transact(lambda conn: connections.record_fault(conn, evidence, next_probe_at=next_probe_at)):
        log_change(evidence)
    forget(deps)


def record_kind(deps: Deps, connection: str, kind: Kind, error: Exception) -> None:
    """Record that the kind may not be read, or that the vendor does not answer for it; only the first report changes its
    state."""
    refused = isinstance(error, AuthRejected)
    state = ConnectionState.FORBIDDEN if refused else ConnectionState.UNANSWERED
    evidence = evidence_of(deps, connection, Verdict(deps.now(), state, str(error)))

    def store(conn: Connection) -> bool:
        tries = connections.tries(conn, connection, kind)
        wait = (
            wait_before_reading(tries, certain=isinstance(error, VendorForbidden))
            if refused
            else wait_before_probe(tries)
        )
        return connections.record_kind(conn, evidence, kind, next_probe_at=evidence.at + wait)

    if deps.database.transact(store):
        log.warning(f"kind_{state}", connection=connection, kind=kind, reason=evidence.reason)
    forget(deps)


def allow(deps: Deps, connection: str, kind: Kind, read_at: datetime) -> None:
    """Record that a kind was read at that moment: older evidence against it no longer counts."""
    if deps.database.transact(lambda conn: connections.allow(conn, connection, kind, read_at)):
        log.info("kind_readable", connection=connection, kind=kind)
    forget(deps)


def record_answer(deps: Deps, connection: str, verdict: Verdict) -> None:
    """Record that the account answers us: a fault that began before is over."""
    row = row_of(deps, connection)
    if row is None or (row.state is ConnectionState.OK and row.next_probe_at is None):
        return
    if deps.database.transact(
        lambda conn: connections.recover(conn, connection, began=verdict.began, now=deps.now())
    ):
        log.info("connection_answers", connection=connection, before=row.state.value)
    forget(deps)


def evidence_of(deps: Deps, connection: str, verdict: Verdict) -> Evidence:
    """A verdict as it is stored: the reason as one line without secrets, and the digest of the credentials."""
    state = verdict.state or ConnectionState.UNANSWERED
    reason = one_line(deps.redact(verdict.reason))
    return Evidence(connection, state, reason, verdict.began, deps.credentials.get(connection, ""))


def one_line(text: str) -> str:
    """A foreign text as one printable line that either database can store, at most ``LONGEST_REASON`` characters."""
    line = " ".join(text.split())[:LONGEST_REASON]
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


def log_change(evidence: Evidence) -> None:
    """Log a change of state."""
    log.warning(f"connection_{evidence.state}", connection=evidence.connection, reason=evidence.reason)
