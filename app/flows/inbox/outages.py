"""Gaps in what we heard: found by silence or after a downtime, filled from the source's ledger or by a delta pull."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection

from app.domain import WHOLE, Cause, Change, batches
from app.errors import TallyhookError
from app.flows.connections.health import blocked, readable
from app.flows.deps import Deps
from app.flows.upkeep import alerts
from app.flows.upkeep.raise_alert import close_alert
from app.rules.inbox.silence import DAYS, DOWN_AFTER, expected, lasting
from app.sources.base import EventLedger, LedgerUnavailable, Source
from app.stores import owed
from app.stores.inbox import inbox, outages
from app.stores.inbox.inbox import Arrival
from app.stores.upkeep import heartbeats

TRY_AGAIN = timedelta(minutes=10)
OVERLAP = timedelta(minutes=1)
AT_ONCE = 200
GAP_HEADER = "tallyhook-gap"
"""What a delivery that was fetched from a ledger has as its header: the number of the gap it fills."""

DAY = timedelta(days=1)

log = structlog.get_logger()


def watch(deps: Deps) -> None:
    """Find gaps, heal those there are, and tell; any number may watch at once.

    A source that cannot be asked now keeps nobody else's gaps from being healed; its own are tried again. Those of a
    connection that is not to be asked wait.
    """
    for connection, source in deps.sources.items():
        if source.receiver is not None:
            _find_downtime(deps, connection)
            _find_silence(deps, connection)
    with deps.database.read() as conn:
        unfinished = outages.unfinished(conn)
    for gap in unfinished:
        if gap["connection"] in deps.sources and blocked(deps, gap["connection"]) is None:
            try:
                _look_after(deps, gap)
            except TallyhookError as error:
                log.warning("gap_not_healed", gap=gap["id"], connection=gap["connection"], error=str(error))


def list_gaps(deps: Deps, *, limit: int = 50, before_id: int | None = None) -> list[dict[str, Any]]:
    """Gaps, newest first, each with its ``sentence``."""
    with deps.database.read() as conn:
        found = outages.latest(conn, connections=deps.who.connections, limit=limit, before_id=before_id)
        counted = [{**gap, **_replayed(conn, gap)} if _waits(gap) else gap for gap in found]
    return [{**gap, "sentence": sentence(gap, deps.now())} for gap in counted]


def sentence(gap: Mapping[str, Any], now: datetime) -> str:
    """ "down 3 h 10 min, missed 412, replayed 412", or what else is to be said of a gap."""
    span = lasting((gap["ended_at"] or now) - gap["began_at"])
    began = (
        f"down {span}" if gap["reason"] == "downtime" else f"silent {span} (about {gap['expected']} events expected)"
    )
    match gap["state"]:
        case "filled":
            died = f", {gap['note']}" if gap["note"] else ""
            return f"{began}, missed {gap['missed']}, replayed {gap['replayed']}{died}"
        case "covered":
            return f"{began}, a delta pull covered it: {gap['note']}"
        case "quiet":
            return f"{began}, nothing had happened"
    return f"{began}, missed {gap['missed']} so far" if gap["missed"] else f"{began}, and still"


def _find_downtime(deps: Deps, connection: str) -> None:
    """A web process that began long after the last sign of any other; where there is none, as after an upgrade, after
    the newest event before it began."""
    with deps.database.read() as conn:
        down = heartbeats.silences(conn, "web", deps.now() - DAY, DOWN_AFTER)
        first = heartbeats.first_start(conn, "web")
        heard = None if first is None else inbox.last_received(conn, connection, first)
    if first is not None and heard is not None and heard < first - DOWN_AFTER and first > deps.now() - DAY:
        down.append(heartbeats.Silence(heard, first))
    for began_at, ended_at in down:
        _open(deps, connection, "downtime", began_at, ended_at, 0)


def _find_silence(deps: Deps, connection: str) -> None:
    now = deps.now()
    with deps.database.read() as conn:
        last = inbox.last_received(conn, connection)
        if last is None:
            return
        first = outages.first_heard(conn, connection, now - DAY * (DAYS + 1))
        spans = [(last - DAY * day, now - DAY * day) for day in range(1, DAYS + 1)]
        known = [span for span in spans if first is not None and first <= span[0]]
        counts = [outages.heard(conn, connection, *span) for span in known]
    should = expected(counts, now - last)
    if should is not None:
        _open(deps, connection, "silence", last, None, should)


def _open(
    deps: Deps, connection: str, reason: str, began_at: datetime, ended_at: datetime | None, should: int
) -> None:
    with deps.database.begin() as conn:
        gap_id = outages.open_(
            conn, connection, reason, began_at=began_at, ended_at=ended_at, expected=should, now=deps.now()
        )
    if gap_id is not None:
        log.warning("gap", connection=connection, reason=reason, since=began_at.isoformat())


def _look_after(deps: Deps, gap: dict[str, Any]) -> None:
    if gap["state"] == "filled":
        _finish(deps, gap)
        return
    now = deps.now()
    with deps.database.begin() as conn:
        if gap["ended_at"] is None:
            gap["ended_at"] = outages.first_heard(
                conn, gap["connection"], gap["began_at"] + timedelta(microseconds=1)
            )
        if not outages.claim(conn, gap["id"], now, now - TRY_AGAIN):
            return
    try:
        told = _heal(deps, gap, deps.sources[gap["connection"]])
    except TallyhookError:
        alerts.gap_is_open(deps, gap, sentence(gap, now))
        raise
    if told["state"] == "open":
        alerts.gap_is_open(deps, gap, sentence({**gap, **told}, now))
    with deps.database.begin() as conn:
        outages.change(conn, gap["id"], **told)
    if told["state"] == "filled":
        close_alert(deps, f"gap:{gap['id']}")
        _finish(deps, {**gap, **told})
    elif told["state"] != "open":
        alerts.gap_is_over(deps, gap, sentence({**gap, **told}, now))


def _heal(deps: Deps, gap: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """What the gap is now; events heard already are recognised by their id and change nothing."""
    over = gap["ended_at"] is not None
    told = {"ended_at": gap["ended_at"], "closed_at": deps.now() if over else None}
    try:
        if not isinstance(source, EventLedger):
            raise LedgerUnavailable("this source keeps no record of past events")
        missed = gap["missed"] + _fetch(deps, gap, source)
    except LedgerUnavailable as reason:
        _pull(deps, gap["connection"], source)
        state = "covered" if over else "open"
        return {**told, "state": state, "note": str(reason)}
    state = ("filled" if missed else "quiet") if over else "open"
    return {**told, "state": state, "missed": missed}


def _fetch(deps: Deps, gap: Mapping[str, Any], ledger: EventLedger) -> int:
    new = 0
    marked = {GAP_HEADER: str(gap["id"])}
    until = deps.now() if gap["ended_at"] is None else min(gap["ended_at"] + OVERLAP, deps.now())
    for some in batches(ledger.missed(gap["began_at"] - OVERLAP, until), AT_ONCE):
        arrivals = [Arrival(gap["connection"], one.delivery, marked, one.body, deps.now()) for one in some]
        with deps.database.begin() as conn:
            accepted = inbox.accept(conn, arrivals)
        new += accepted.new
        deps.queue.enqueue(accepted.owed)
    log.info("gap_healed", connection=gap["connection"], events=new)
    return new


def _pull(deps: Deps, connection: str, source: Source) -> None:
    kinds = readable(deps, connection, source.kinds)
    with deps.database.begin() as conn:
        changes = [Change(kind, WHOLE) for kind in kinds]
        fresh = owed.owe(conn, connection, changes, Cause.POLL, deps.now())
    deps.queue.enqueue(fresh)


def _finish(deps: Deps, gap: Mapping[str, Any]) -> None:
    """Say that a filled gap is over once none of its events is owed any more: only then is it known how many were
    replayed."""
    with deps.database.begin() as conn:
        told = _replayed(conn, gap)
        if told["owed"] or not outages.finish(conn, gap["id"], replayed=told["replayed"], note=told["note"]):
            return
    alerts.gap_is_over(deps, gap, sentence({**gap, **told}, deps.now()))


def _waits(gap: Mapping[str, Any]) -> bool:
    return gap["state"] == "filled" and gap["replayed"] < gap["missed"] and gap["note"] is None


def _replayed(conn: Connection, gap: Mapping[str, Any]) -> dict[str, Any]:
    """How many of the events it was filled with are settled by now."""
    marked = msgspec.json.encode({GAP_HEADER: str(gap["id"])}).decode()
    owed_now, died = outages.unsettled(conn, gap["found_at"], marked)
    replayed = max(0, gap["missed"] - owed_now - died)
    return {"replayed": replayed, "note": f"{died} died" if died else None, "owed": owed_now}
