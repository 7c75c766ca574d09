"""Outages: found by silence or after a downtime, and filled from the source's ledger of events or by a delta pull."""

from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog
from sqlalchemy import Connection

from app.domain import ALL_ITEMS, Cause, Change, batches
from app.errors import TallyhookError
from app.flows.connections.health import blocked, readable
from app.flows.deps import Deps
from app.flows.inbox.accepting import accept
from app.flows.isolated import isolated
from app.flows.upkeep import alerts
from app.flows.upkeep.raise_alert import close_alert
from app.rules.drift.drift import Span
from app.rules.inbox.silence import DAYS, DOWN_AFTER, expected, lasting
from app.sources.base import EventLedger, LedgerUnavailable, Source
from app.stores import owed
from app.stores.inbox import inbox, outages
from app.stores.inbox.inbox import Arrival
from app.stores.inbox.rows import Outage
from app.stores.upkeep import heartbeats

RETRY_AFTER = timedelta(minutes=10)
OVERLAP = timedelta(minutes=1)
BATCH_SIZE = 200
OUTAGE_HEADER = "tallyhook-gap"
"""The header of a delivery that was fetched from a ledger: the number of the outage it fills."""

DAY = timedelta(days=1)

log = structlog.get_logger()


class OutageView(Outage, frozen=True, kw_only=True):
    """An outage with a ``sentence`` for people."""

    sentence: str


def watch(deps: Deps) -> None:
    """Find outages, heal them, and raise alerts; any number of processes may do so at once.

    If a source cannot be asked now, its outages are tried again later, and those of other sources are healed. Outages
    of a connection that must not be called wait.
    """
    heard = [name for name, source in deps.sources.items() if source.receiver is not None]
    isolated(partial(_find, deps), heard, event="gap_not_looked_for")
    with deps.database.read() as conn:
        unfinished = outages.unfinished(conn)
    gaps = {f"gap {one.id} of {one.connection}": one for one in unfinished if one.connection in deps.sources}
    may_call = [name for name, one in gaps.items() if blocked(deps, one.connection) is None]
    isolated(lambda name: _advance(deps, gaps[name]), may_call, event="gap_not_healed")


def list_outages(deps: Deps, *, limit: int = 50, before_id: int | None = None) -> list[OutageView]:
    """Outages that the caller may see, newest first."""
    with deps.database.read() as conn:
        rows = outages.latest(conn, connections=deps.principal.connections, limit=limit, before_id=before_id)
        counted = [_settled_so_far(conn, row)[0] if _is_filling(row) else row for row in rows]
    return [OutageView(**msgspec.structs.asdict(row), sentence=sentence(row, deps.now())) for row in counted]


def sentence(outage: Outage, now: datetime) -> str:
    """An outage in words: "down 3 h 10 min, missed 412, replayed 412"."""
    length = lasting((outage.ended_at or now) - outage.began_at)
    silence = f"silent {length} (about {outage.expected} events expected)"
    began = f"down {length}" if outage.reason == "downtime" else silence
    match outage.state:
        case "filled":
            died = f", {outage.note}" if outage.note else ""
            return f"{began}, missed {outage.missed}, replayed {outage.replayed}{died}"
        case "covered":
            return f"{began}, a delta pull covered it: {outage.note}"
        case "quiet":
            return f"{began}, nothing had happened"
    return f"{began}, missed {outage.missed} so far" if outage.missed else f"{began}, ongoing"


def _find(deps: Deps, connection: str) -> None:
    _find_downtime(deps, connection)
    _find_silence(deps, connection)


def _find_downtime(deps: Deps, connection: str) -> None:
    """A downtime is the time before a web process that started long after the last heartbeat of any other; if there is no
    heartbeat, as after an upgrade, long after the newest delivery before its start."""
    with deps.database.read() as conn:
        down = heartbeats.silences(conn, "web", deps.now() - DAY, DOWN_AFTER)
        first = heartbeats.first_start(conn, "web")
        heard = None if first is None else inbox.last_received(conn, connection, first)
    if first is not None and heard is not None and heard < first - DOWN_AFTER and first > deps.now() - DAY:
        down.append(Span(heard, first))
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
    usual = expected(counts, now - last)
    if usual is not None:
        _open(deps, connection, "silence", last, None, usual)


def _open(
    deps: Deps, connection: str, reason: str, began_at: datetime, ended_at: datetime | None, usual: int
) -> None:
    with deps.database.begin() as conn:
        outage_id = outages.open_(
            conn, connection, reason, began_at=began_at, ended_at=ended_at, expected=usual, now=deps.now()
        )
    if outage_id is not None:
        log.warning("gap", connection=connection, reason=reason, since=began_at.isoformat())


def _advance(deps: Deps, outage: Outage) -> None:
    """Heal an open outage, or close one whose deliveries are settled."""
    if outage.state == "filled":
        _finish(deps, outage)
        return
    now = deps.now()
    with deps.database.begin() as conn:
        if outage.ended_at is None:
            next_moment = outage.began_at + timedelta(microseconds=1)
            ended_at = outages.first_heard(conn, outage.connection, next_moment)
            outage = msgspec.structs.replace(outage, ended_at=ended_at)
        if not outages.claim(conn, outage.id, now, now - RETRY_AFTER):
            return
    try:
        healed = _heal(deps, outage, deps.sources[outage.connection])
    except TallyhookError:
        alerts.gap_is_open(deps, outage, sentence(outage, now))
        raise
    if healed.state == "open":
        alerts.gap_is_open(deps, healed, sentence(healed, now))
    with deps.database.begin() as conn:
        outages.save(conn, healed)
    if healed.state == "filled":
        close_alert(deps, f"gap:{healed.id}")
        _finish(deps, healed)
    elif healed.state != "open":
        alerts.gap_is_over(deps, healed, sentence(healed, now))


def _heal(deps: Deps, outage: Outage, source: Source) -> Outage:
    """The outage after healing. Events that we have already are recognised by their id and change nothing."""
    over = outage.ended_at is not None
    outage = msgspec.structs.replace(outage, closed_at=deps.now() if over else None)
    try:
        if not isinstance(source, EventLedger):
            raise LedgerUnavailable("this source keeps no record of past events")
        missed = outage.missed + _fetch(deps, outage, source)
    except LedgerUnavailable as reason:
        _pull(deps, outage.connection, source)
        return msgspec.structs.replace(outage, state="covered" if over else "open", note=str(reason))
    state = ("filled" if missed else "quiet") if over else "open"
    return msgspec.structs.replace(outage, state=state, missed=missed)


def _fetch(deps: Deps, outage: Outage, ledger: EventLedger) -> int:
    """Store the events of the outage that the ledger has; returns how many are new."""
    new = 0
    headers = {OUTAGE_HEADER: str(outage.id)}
    until = deps.now() if outage.ended_at is None else min(outage.ended_at + OVERLAP, deps.now())
    for batch in batches(ledger.missed(outage.began_at - OVERLAP, until), BATCH_SIZE):
        arrivals = [Arrival(outage.connection, event.delivery, headers, event.body, deps.now()) for event in batch]
        accepted, unwritable = accept(deps.database, arrivals)
        for arrival, error in unwritable:  # its webhook could not be written either; the polls see what it was about
            log.warning("event_not_stored", gap=outage.id, id=arrival.delivery.event_id, error=str(error))
        new += accepted.new
        deps.queue.enqueue(accepted.owed)
    log.info("gap_healed", connection=outage.connection, events=new)
    return new


def _pull(deps: Deps, connection: str, source: Source) -> None:
    """Owe a delta pull of every kind that may be read."""
    changes = [Change(kind, ALL_ITEMS) for kind in readable(deps, connection, source.kinds)]
    with deps.database.begin() as conn:
        newly_owed = owed.owe(conn, connection, changes, Cause.POLL, deps.now())
    deps.queue.enqueue(newly_owed)


def _finish(deps: Deps, outage: Outage) -> None:
    """Close a filled outage once none of its deliveries is owed: only then is it known how many were replayed."""
    with deps.database.begin() as conn:
        settled, owed_now = _settled_so_far(conn, outage)
        if owed_now or not outages.finish(conn, settled.id, replayed=settled.replayed, note=settled.note):
            return
    alerts.gap_is_over(deps, settled, sentence(settled, deps.now()))


def _is_filling(outage: Outage) -> bool:
    return outage.state == "filled" and outage.replayed < outage.missed and outage.note is None


def _settled_so_far(conn: Connection, outage: Outage) -> tuple[Outage, int]:
    """The outage with the number of its deliveries that are replayed by now, and how many are still owed."""
    headers = msgspec.json.encode({OUTAGE_HEADER: str(outage.id)}).decode()
    owed_now, died = outages.unsettled(conn, outage.found_at, headers)
    replayed = max(0, outage.missed - owed_now - died)
    note = f"{died} died" if died else None
    return msgspec.structs.replace(outage, replayed=replayed, note=note), owed_now
