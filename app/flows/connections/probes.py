"""Probes: connections that do not work are called again at growing intervals, each by one process at a time."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import structlog

from app.domain import ConnectionState
from app.flows.connections.checks import Verdict, call, evidence_of, log_change, record_answer, record_failure
from app.flows.connections.states import forget, known
from app.flows.deps import Deps
from app.rules.calls.probing import FIRST, wait_before_probe
from app.sources.base import Checkable
from app.stores import connections
from app.stores.connections import Probe

PROBE_LEASE = timedelta(seconds=60)
"""How long one process has for a probe before another may make it."""

log = structlog.get_logger()


def probe(deps: Deps) -> int:
    """Call every connection that does not work and is due; returns how many were called.

    Any number of processes may do this; the database gives each probe to one of them.
    """
    due = list(_claimed(deps))
    for one in due:
        make_probe(deps, one)
    return len(due)


def probe_in_background(deps: Deps) -> None:
    """``probe``, but each call in a thread of its own: a vendor that hangs must not stop the clock."""
    for one in _claimed(deps):
        threading.Thread(target=_probe_logged, args=(deps, one), name=f"probe-{one.connection}", daemon=True).start()


def make_probe(deps: Deps, claimed: Probe) -> Verdict:
    """Call the vendor with no transaction open, and record the verdict; returns it."""
    connection = claimed.connection
    verdict = call(deps, connection)
    now = deps.now()
    if verdict.state is None and isinstance(deps.sources[connection], Checkable):
        deps.database.transact(lambda conn: connections.postpone_probe(conn, connection, now + FIRST))
    elif verdict.state in (None, ConnectionState.OK):
        record_answer(deps, connection, verdict)
    else:
        evidence, next_probe_at = evidence_of(deps, connection, verdict), now + wait_before_probe(claimed.probes)
        if deps.database.transact(
            lambda conn: connections.probe_failed(conn, claimed, evidence, next_probe_at=next_probe_at)
        ):
            log_change(evidence)
    forget(deps)
    return verdict


def check_now(deps: Deps, connection: str) -> Verdict:
    """Call the vendor at once, in any state, and record the verdict (a person's pause stays).

    Returns the verdict; its ``state`` is ``None`` if our call budget is spent or the source cannot be checked.
    """
    verdict = call(deps, connection)
    if verdict.state is ConnectionState.OK:
        record_answer(deps, connection, verdict)
    elif verdict.state is not None:
        record_failure(deps, connection, verdict)
    return verdict


def _claimed(deps: Deps) -> Iterator[Probe]:
    for row in known(deps):
        now = deps.now()
        credentials = deps.credentials.get(row.connection, "")
        due = row.next_probe_at is not None and row.next_probe_at <= now
        changed = row.credentials != credentials and row.state is not ConnectionState.OK
        if row.kind is None and row.connection in deps.sources and (due or changed):
            claimed = _claim(deps, row.connection, credentials, now)
            if claimed is not None:
                yield claimed


def _claim(deps: Deps, connection: str, credentials: str, now: datetime) -> Probe | None:
    until, settled = now + PROBE_LEASE, now - FIRST
    forget(deps)
    return deps.database.transact(
        lambda conn: connections.claim_probe(conn, connection, credentials, now=now, until=until, settled=settled)
    )


def _probe_logged(deps: Deps, claimed: Probe) -> None:
    try:
        make_probe(deps, claimed)
    except Exception as error:  # the claim runs out, and the probe is made again
        log.warning("probe_failed", connection=claimed.connection, error=f"{type(error).__name__}: {error}")
