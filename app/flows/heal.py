"""After a downtime: asks sources that keep a ledger of their events for those we did not hear."""

from __future__ import annotations

from datetime import datetime

import structlog

from app.domain import batches
from app.flows.deps import Deps
from app.sources.base import EventLedger, LedgerUnavailable
from app.stores import inbox
from app.stores.inbox import Arrival

AT_ONCE = 200

log = structlog.get_logger()


def heal_gaps(deps: Deps) -> dict[str, int]:
    """Fetch what each ledger holds since our newest event; returns how many unseen events each connection got.

    Events heard already are recognised by their id and change nothing. Where a source has no ledger, or it is not
    switched on, the delta polls cover the gap, and the log says so. Raises what the source raises.
    """
    healed: dict[str, int] = {}
    for connection, source in deps.sources.items():
        with deps.database.read() as conn:
            heard = inbox.last_received(conn, connection)
        if heard is None or not isinstance(source, EventLedger):
            continue
        try:
            healed[connection] = _heal(deps, connection, source, heard)
        except LedgerUnavailable as reason:
            log.info("gap_left_to_polls", connection=connection, reason=str(reason))
    return healed


def _heal(deps: Deps, connection: str, ledger: EventLedger, since: datetime) -> int:
    found = 0
    for some in batches(ledger.missed(since, deps.now()), AT_ONCE):
        arrivals = [Arrival(connection, one.delivery, {}, one.body, deps.now()) for one in some]
        with deps.database.begin() as conn:
            accepted = inbox.accept(conn, arrivals)
        found += accepted.new
        deps.queue.wake(accepted.owed)
    log.info("gap_healed", connection=connection, since=since.isoformat(), events=found)
    return found
