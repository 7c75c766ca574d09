"""Calls a source to find out whether the account answers us, and records what came back, with one winner."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy import Connection

from app.domain import ConnectionState, Kind
from app.errors import (
    AuthRejected,
    BudgetSpent,
    DatabaseFault,
    Permanent,
    RateLimited,
    Transient,
    VendorForbidden,
    VendorRefused,
)
from app.flows.connections.states import forget, row_of
from app.flows.deps import Deps
from app.rules.calls.calling import PROBE, calling_for
from app.rules.calls.probing import FIRST, wait_before_probe, wait_before_reading
from app.sources import exchanges
from app.sources.base import Checkable, Source
from app.stores import connections
from app.stores.connections import Evidence
from app.stores.sql.engine import Database

VERDICT_FOR = timedelta(seconds=5)
"""How long the answer to a check stands for other failures of the same process: many threads fail together."""

LONGEST_REASON = 500

log = structlog.get_logger()


class Verdict(NamedTuple):
    """What a check that began then found; ``state`` is ``None`` where nothing could be found out."""

    began: datetime
    state: ConnectionState | None
    reason: str = ""


@dataclass(eq=False)
class _Seen:
    """The latest verdicts of this process by connection; ``calling`` are the connections being checked now."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    calling: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


_all_seen: WeakKeyDictionary[Database, _Seen] = WeakKeyDictionary()
_lock = threading.Lock()


def verdict_on(deps: Deps, connection: str, error: Exception) -> Verdict | None:
    """A recent verdict or one of this moment; ``None`` while another thread is calling."""
    seen, now = _seen_of(deps.database), deps.now()
    with seen.lock:
        recent = seen.verdicts.get(connection)
        if recent is not None and now - recent.began < VERDICT_FOR and _speaks_of(recent, error):
            return recent
        if connection in seen.calling:
            return None
        seen.calling.add(connection)
    try:
        return call(deps, connection)
    finally:
        seen.calling.discard(connection)


def _speaks_of(recent: Verdict, error: Exception) -> bool:
    """That the account answered before says nothing of a refusal: the credentials may have expired since."""
    return recent.state is not ConnectionState.OK or not isinstance(error, AuthRejected)


def call(deps: Deps, connection: str) -> Verdict:
    """Call the vendor now and keep the verdict; raises ``DatabaseFault`` where the budget could not be asked."""
    began = deps.now()
    verdict = Verdict(began, *_check(deps.sources[connection]))
    _seen_of(deps.database).verdicts[connection] = verdict
    return verdict


def _check(source: Source) -> tuple[ConnectionState | None, str]:
    """A vendor that limits us, or lets us see everything but this, has answered. One that refuses even its cheapest call
    refuses all: the account is not paid for, or its interface is not what it was."""
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
    except (AuthRejected, VendorRefused) as error:
        return ConnectionState.REFUSED, str(error)
    except Permanent:
        return ConnectionState.OK, ""
    except Transient as error:
        return ConnectionState.UNANSWERED, str(error)
    except Exception as error:  # a bug of ours says nothing of the vendor, and is no item's fault
        log.exception("check_failed", source=source.name)
        return None, f"{type(error).__name__}: {error}"
    return ConnectionState.OK, ""


def record_failure(deps: Deps, connection: str, verdict: Verdict) -> None:
    """The connection refuses us or does not answer; only the first to say so changes its state."""
    evidence, next_probe_at = evidence_of(deps, connection, verdict), deps.now() + FIRST
    if deps.database.transact(lambda conn: connections.record_fault(conn, evidence, next_probe_at=next_probe_at)):
        log_change(evidence)
    forget(deps)


def record_kind(deps: Deps, connection: str, kind: Kind, error: Exception) -> None:
    """The kind may not be read, or the vendor does not answer for it; only the first to say so changes its state."""
    refused = isinstance(error, AuthRejected)
    state = ConnectionState.FORBIDDEN if refused else ConnectionState.UNANSWERED
    evidence = evidence_of(deps, connection, Verdict(deps.now(), state, str(error)))

    def work(conn: Connection) -> bool:
        tries = connections.tries(conn, connection, kind)
        wait = (
            wait_before_reading(tries, certain=isinstance(error, VendorForbidden))
            if refused
            else wait_before_probe(tries)
        )
        return connections.record_kind(conn, evidence, kind, next_probe_at=evidence.at + wait)

    if deps.database.transact(work):
        log.warning(f"kind_{state}", connection=connection, kind=kind, reason=evidence.reason)
    forget(deps)


def allow(deps: Deps, connection: str, kind: Kind, read_at: datetime) -> None:
    """A kind was read at that moment: what was said of it before is over."""
    if deps.database.transact(lambda conn: connections.allow(conn, connection, kind, read_at)):
        log.info("kind_readable", connection=connection, kind=kind)
    forget(deps)


def record_answer(deps: Deps, connection: str, verdict: Verdict) -> None:
    """The account answers us: a fault that began before is over."""
    row = row_of(deps, connection)
    if row is None or (row.state is ConnectionState.OK and row.next_probe_at is None):
        return
    if deps.database.transact(
        lambda conn: connections.recover(conn, connection, began=verdict.began, now=deps.now())
    ):
        log.info("connection_answers", connection=connection, before=row.state.value)
    forget(deps)


def evidence_of(deps: Deps, connection: str, verdict: Verdict) -> Evidence:
    """A verdict as it is stored: one line without secrets, with the digest of the credentials it is about."""
    state = verdict.state or ConnectionState.UNANSWERED
    reason = one_line(deps.redact(verdict.reason))
    return Evidence(connection, state, reason, verdict.began, deps.credentials.get(connection, ""))


def one_line(text: str) -> str:
    """A text of others as one printable line that either database holds, at most ``LONGEST_REASON`` characters."""
    line = " ".join(text.split())[:LONGEST_REASON]
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line)


def log_change(evidence: Evidence) -> None:
    """One line per change of state."""
    log.warning(f"connection_{evidence.state}", connection=evidence.connection, reason=evidence.reason)


def _seen_of(database: Database) -> _Seen:
    with _lock:
        return _all_seen.setdefault(database, _Seen())
