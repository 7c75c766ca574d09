"""The nightly run: read a whole account, find every difference, say why it was there, and repair it.

It is a diff, not a re-download: rows that agree are not written. Each kind ends with an agreement, the share of rows
that were already right.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import structlog

from app.domain import Cause, Kind
from app.errors import KilledWorker
from app.flows.absorb import Absorbed, absorb
from app.flows.alone import alone
from app.flows.deps import Deps
from app.flows.drift import record_drift
from app.flows.leases import LEASE, LeaseKeeper
from app.flows.pull import owe_news
from app.rules.guard import FIRST_LOAD, RUN
from app.rules.retry import MAX_KILLS
from app.sources.base import Source
from app.stores import runs, watermarks

log = structlog.get_logger()


def reconcile(deps: Deps, keeper: LeaseKeeper, run_id: int) -> None:
    """Carry out an idle (or abandoned) run; a no-op when somebody else has it.

    A failure is recorded on the run and raised; the next slot starts a new one.
    """
    token = uuid4().hex
    with deps.database.begin() as conn:
        run = runs.start(conn, run_id, token, LEASE, deps.now())
    if run is None:
        return
    with keeper.hold(lambda conn, until: runs.heartbeat(conn, run_id, token, until)):
        _carry_out(deps, keeper, run, token)


def _carry_out(deps: Deps, keeper: LeaseKeeper, run: dict[str, Any], token: str) -> None:
    run_id, connection = run["id"], run["connection"]
    source = deps.bulk_sources[connection]
    calls_before = source.calls()
    counts: dict[str, Any] = {}
    status, error = "failed", None
    try:
        if run["kills"] >= MAX_KILLS:
            raise KilledWorker(f"this run took its worker down {run['kills']} times")
        for kind in source.kinds:
            with alone(deps, keeper, connection, kind):
                counts[kind] = _reconcile_kind(deps, source, connection, kind, run_id)
        status = "completed"
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
        raise
    finally:
        with deps.database.begin() as conn:
            calls = source.calls() - calls_before
            runs.finish(conn, run_id, token, status, counts, calls, error, deps.now())
        log.info("run_finished", run=run_id, connection=connection, status=status, counts=counts)


def _reconcile_kind(deps: Deps, source: Source, connection: str, kind: Kind, run_id: int) -> dict[str, Any]:
    with deps.database.read() as conn:
        first = watermarks.get(conn, connection, kind) is None
    absorbed = absorb(
        deps,
        connection,
        kind,
        lambda: source.full(kind),
        run_id=run_id,
        deeds=FIRST_LOAD if first else RUN,
        before=None if first else lambda diff, read_at: record_drift(deps, connection, run_id, diff, read_at),
    )
    fresh = owe_news(deps, connection, kind, absorbed.changes, Cause.RECONCILE)
    with deps.database.begin() as conn:
        if first and (mark := absorbed.mark(source.whole_kinds)) is not None:
            watermarks.put(conn, connection, kind, mark, deps.now())
    deps.queue.wake(fresh)
    return _counts(absorbed, len(fresh))


def _counts(absorbed: Absorbed, owed_now: int) -> dict[str, Any]:
    diff, written = absorbed.diff, absorbed.written
    differing = len(diff.created) + len(diff.changed) + len(diff.vanished)
    rows = diff.total_local + len(diff.created)
    return {
        "read": diff.read,
        "created": written.created,
        "updated": written.updated,
        "unchanged": diff.unchanged + len(diff.touched),
        "deleted": written.deleted,
        "owed": owed_now,
        "held": absorbed.held,
        "agreement": round(1 - differing / rows, 6) if rows else 1.0,
    }
