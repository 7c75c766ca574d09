"""Removes old rows, a few hundred at a time so that nobody waits; any number of processes may remove at once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, or_, select, tuple_, update

from app.domain import Kind
from app.stores import tables
from app.stores.history.rows import LOADING, PAST, SINCE
from app.stores.letters import letter_search
from app.stores.reports import settled
from app.stores.tables import CATALOG, core

BATCH_SIZE = 500
"""Rows per transaction: on SQLite acknowledgements wait for the writer before them."""

LETTERS, EVENTS, SETTLEMENTS, DONE_LETTERS = "letters", "events", "settlements", "done_letters"
DRIFT, DRY_DRIFT, HISTORY = "drift", "dry_drift", "history"

Key = tuple[Any, ...]
"""The primary key of an old row."""

Conditions = Callable[[Connection, datetime], list[ColumnElement[bool]]]
"""Maps ``(conn, before)`` to the conditions under which a row of a table is old."""

RESTARTED_WITHIN = timedelta(days=2)
"""A downtime that ended less than this ago may not have been noticed yet (``flows.inbox.outages`` looks back a day)."""


_LETTERS, _EVENTS, _SETTLED = map(core, (tables.DeadLetter, tables.InboxEvent, tables.Settlement))
_RUNS, _PAGES, _DRIFT, _ITEMS = map(core, (tables.Run, tables.RunPage, tables.Drift, tables.FailedItem))
_REPLAYS, _REPLAYED = map(core, (tables.Replay, tables.ReplayItem))
_ALERTS, _GAPS, _HOLDS, _HELD = map(core, (tables.Alert, tables.Outage, tables.Hold, tables.HoldRow))
_BEATS, _SLOTS, _SESSIONS, _ANSWERS = map(
    core, (tables.Heartbeat, tables.SettledSlot, tables.Session, tables.CachedAnswer)
)
_REFUSALS, _RESTORES, _REMOVALS = map(core, (tables.Refusal, tables.Restore, tables.Removal))
_AGREEMENTS, _CALL_SLOTS, _CHECKS = map(core, (tables.AgreementDay, tables.CallSlot, tables.SpotCheck))
_TRICKLED, _HISTORY = map(core, (tables.TrickledChange, tables.HistoryRow))


@dataclass(frozen=True)
class Expiry:
    """When rows of a table are old. ``keep`` is the field of ``flows.upkeep.retention.Keep`` that says for how long they are
    kept, empty if others say it; ``first`` is the column whose smallest values go first."""

    table: Table
    keep: str
    old: Conditions
    first: ColumnElement[Any] | None = None


def expired(conn: Connection, what: str, before: datetime) -> list[Key]:
    """Keys of the next rows of a sort that have been old since ``before``, at most ``BATCH_SIZE``.

    Never among them are rows that somebody still needs (letters queued for a replay, settlements that are not summed yet
    or belong to an item with a letter, open holds and alerts, the last completed run of each strategy), and the newest
    row of a table with ids, because SQLite would use its id again.
    """
    expiry = EXPIRIES[what]
    query = select(*expiry.table.primary_key).where(*expiry.old(conn, before), *_not_newest(expiry.table))
    if expiry.first is not None:
        query = query.order_by(expiry.first)
    return [tuple(row) for row in conn.execute(query.limit(BATCH_SIZE))]


def latest_events(conn: Connection, connections: Iterable[str]) -> set[Key]:
    """Keys of each connection's last event, which says how long a silence has lasted."""
    newest = select(_EVENTS.c.id).order_by(_EVENTS.c.received_at.desc(), _EVENTS.c.id.desc()).limit(1)
    queries = [newest.where(_EVENTS.c.connection == connection) for connection in connections]
    return {(id,) for query in queries if (id := conn.execute(query).scalar()) is not None}


def remove(conn: Connection, what: str, keys: Sequence[Key], before: datetime) -> int:
    """Remove those of these rows that are still old and that nobody else has locked; returns how many."""
    expiry = EXPIRIES[what]
    columns = list(expiry.table.primary_key)
    own: Any = columns[0] if len(columns) == 1 else tuple_(*columns)
    named = [key[0] for key in keys] if len(columns) == 1 else keys
    free = select(*columns).where(own.in_(named), *expiry.old(conn, before)).with_for_update(skip_locked=True)
    return int(conn.execute(delete(expiry.table).where(own.in_(free))).rowcount)


def stale_pages(conn: Connection, before: datetime) -> list[int]:
    """Ids of ended runs whose pages, kept in case they are resumed, are of no use: those that ended before a moment, and
    those after which a run of the same strategy was completed."""
    later = _RUNS.alias()
    superseded = exists().where(
        later.c.connection == _RUNS.c.connection,
        later.c.strategy == _RUNS.c.strategy,
        later.c.status == "completed",
        later.c.id > _RUNS.c.id,
        ~later.c.dry,
    )
    ended = select(_PAGES.c.run_id).distinct().join(_RUNS, _RUNS.c.id == _PAGES.c.run_id)
    stale = or_(_RUNS.c.finished_at < before, superseded)
    return [int(id) for id in conn.execute(ended.where(_OVER, stale)).scalars()]


def ended_run(conn: Connection, run_id: int) -> str | None:
    """The checkpoint (JSON text) of an ended run, locked until this transaction ends; ``None`` if it has not ended."""
    query = select(_RUNS.c.checkpoint).where(_RUNS.c.id == run_id, _OVER)
    return conn.execute(query.with_for_update()).scalar()


def drop_pages(conn: Connection, run_id: int, checkpoint: str) -> int:
    """Remove a run's pages and store the checkpoint to resume it from; returns how many pages."""
    conn.execute(update(_RUNS).where(_RUNS.c.id == run_id).values(checkpoint=checkpoint))
    return int(conn.execute(delete(_PAGES).where(_PAGES.c.run_id == run_id)).rowcount)


def _not_newest(table: Table) -> list[ColumnElement[bool]]:
    if "id" not in table.c:
        return []
    return [table.c.id < select(func.max(table.c.id)).scalar_subquery()]


# --- letters, events, settlements ---


def _nothing_happened(before: datetime) -> ColumnElement[bool]:
    later = (_LETTERS.c[name] for name in ("replayed_at", "discarded_at"))
    return and_(_LETTERS.c.died_at < before, *(or_(moment.is_(None), moment < before) for moment in later))


def _letters(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    return [_LETTERS.c.state.in_(("dead", "replayed", "discarded")), _nothing_happened(before)]


def _done_letters(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    """Letters that nobody has to do anything about."""
    superseded = letter_search.superseded(letter_search.full_reads(conn))
    dead = and_(_LETTERS.c.state == "dead", superseded)
    return [or_(_LETTERS.c.state.in_(("replayed", "discarded")), dead), _nothing_happened(before)]


def _settlements(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    names = ("connection", "kind", "external_id")
    letter = exists().where(*(_LETTERS.c[name] == _SETTLED.c[name] for name in names))
    return [_SETTLED.c.settled_at < min(before, settled.summed_until(conn)), ~letter]


# --- runs and what they found ---

_OVER = _RUNS.c.status.in_(("completed", "failed", "cancelled"))
_NO_DRIFT = ~exists().where(_DRIFT.c.run_id == _RUNS.c.id)


def _drift(*, dry: bool) -> Conditions:
    """Old by their run, so that an index finds them; a run goes after its differences. Those of spot checks have no run."""

    def old(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
        runs = select(_RUNS.c.id).where(_RUNS.c.dry == dry, _OVER, _RUNS.c.finished_at < before)
        without = and_(_DRIFT.c.run_id.is_(None), _DRIFT.c.found_at < before)
        return [_DRIFT.c.run_id.in_(runs) if dry else or_(_DRIFT.c.run_id.in_(runs), without)]

    return old


def _runs(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    """Not the last completed run of each strategy and options: it says when everything was last read."""
    later = _RUNS.alias()
    names = ("connection", "strategy", "options", "status", "dry")
    overtaken = exists().where(*(later.c[name] == _RUNS.c[name] for name in names), later.c.id > _RUNS.c.id)
    failing = exists().where(_ITEMS.c.run_id == _RUNS.c.id, _ITEMS.c.resolved_at.is_(None))
    needless = or_(_RUNS.c.status != "completed", overtaken)
    return [~_RUNS.c.dry, _OVER, _RUNS.c.finished_at < before, needless, ~failing, _NO_DRIFT]


def _dry_runs(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    return [_RUNS.c.dry, _OVER, _RUNS.c.finished_at < before, _NO_DRIFT]


# --- what people were shown and decided ---


def _outages(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    return [_GAPS.c.state != "open", _GAPS.c.closed_at < before]


def _holds(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    return [_HOLDS.c.state.not_in(("held", "released")), _HOLDS.c.held_at < before]


def _holds_without_rows(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    return [*_holds(conn, before), ~exists().where(_HELD.c.hold_id == _HOLDS.c.id)]


def _hold_rows(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    return [_HELD.c.hold_id.in_(select(_HOLDS.c.id).where(*_holds(conn, before)))]


def _replay_items(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    ended = select(_REPLAYS.c.id).where(_REPLAYS.c.finished_at < before)
    return [_REPLAYED.c.replay_id.in_(ended)]


def _replays(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    """Not those that a letter still refers to."""
    named = exists().where(_LETTERS.c.replay_id == _REPLAYS.c.id)
    members = exists().where(_REPLAYED.c.replay_id == _REPLAYS.c.id)
    return [_REPLAYS.c.finished_at < before, ~named, ~members]


# --- figures and signs of life ---


def _heartbeats(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    """Those of processes long gone, once a later process of their role has run for a while: until then the last sign of
    life says when a downtime began."""
    next_ = _BEATS.alias()
    is_later = (next_.c.role == _BEATS.c.role, next_.c.seen_at > _BEATS.c.seen_at)
    later = exists().where(*is_later, next_.c.started_at < before - RESTARTED_WITHIN)
    return [_BEATS.c.seen_at < before, later]


def _slots(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    """Not the last slot: it says how far settlements are summed."""
    return [_SLOTS.c.slot < before, _SLOTS.c.slot < select(func.max(_SLOTS.c.slot)).scalar_subquery()]


def _by(column: ColumnElement[datetime]) -> Conditions:
    """Rows that are old by the time in one column."""
    return lambda conn, before: [column < before]


def _history(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
    """Rows are written in the order of their ids, and no index has their times. The notes of first loads and of the past
    stay: they say how far the history reaches."""
    is_note = (_HISTORY.c.external_id == "") & _HISTORY.c.op.in_([LOADING, SINCE, PAST])
    oldest = select(_HISTORY.c.id).where(~is_note).order_by(_HISTORY.c.id).limit(BATCH_SIZE)
    return [_HISTORY.c.id.in_(select(oldest.subquery().c.id)), _HISTORY.c.recorded_at < before]


# --- tombstones ---


def _tombstones(kind: Kind) -> Expiry:
    """Rows that only say that an id we never held is gone, when no read that began before them is running any more."""
    row = CATALOG[kind].c
    content = [column for column in row if column.nullable and column.name != "modified_at"]

    def old(conn: Connection, before: datetime) -> list[ColumnElement[bool]]:
        fence = (row.deleted, row.row_hash == 0, row.version == 0, row.written_at < before, row.read_at < before)
        return [*fence, *(column.is_(None) for column in content)]

    return Expiry(CATALOG[kind], "tombstones", old)


EXPIRIES = {
    LETTERS: Expiry(_LETTERS, "", _letters, _LETTERS.c.died_at),
    EVENTS: Expiry(_EVENTS, "", _by(_EVENTS.c.received_at), _EVENTS.c.received_at),
    SETTLEMENTS: Expiry(_SETTLED, "", _settlements, _SETTLED.c.settled_at),
    DONE_LETTERS: Expiry(_LETTERS, "done_letters", _done_letters, _LETTERS.c.died_at),
    DRIFT: Expiry(_DRIFT, "drift", _drift(dry=False)),
    DRY_DRIFT: Expiry(_DRIFT, "dry_runs", _drift(dry=True)),
    "dry_runs": Expiry(_RUNS, "dry_runs", _dry_runs, _RUNS.c.id),
    "failed_items": Expiry(_ITEMS, "runs", _by(_ITEMS.c.resolved_at)),
    "runs": Expiry(_RUNS, "runs", _runs, _RUNS.c.id),
    "alerts": Expiry(_ALERTS, "alerts", _by(_ALERTS.c.closed_at)),
    "outages": Expiry(_GAPS, "alerts", _outages),
    "hold_rows": Expiry(_HELD, "alerts", _hold_rows),
    "holds": Expiry(_HOLDS, "alerts", _holds_without_rows),
    "replay_items": Expiry(_REPLAYED, "alerts", _replay_items),
    "replays": Expiry(_REPLAYS, "alerts", _replays),
    "slots": Expiry(_SLOTS, "figures", _slots, _SLOTS.c.slot),
    "calls": Expiry(_CALL_SLOTS, "figures", _by(_CALL_SLOTS.c.slot)),
    "agreements": Expiry(_AGREEMENTS, "figures", _by(_AGREEMENTS.c.at)),
    "heartbeats": Expiry(_BEATS, "heartbeats", _heartbeats),
    "refusals": Expiry(_REFUSALS, "heartbeats", _by(_REFUSALS.c.at), _REFUSALS.c.at),
    "restores": Expiry(_RESTORES, "heartbeats", _by(_RESTORES.c.found_at)),
    "removals": Expiry(_REMOVALS, "heartbeats", _by(_REMOVALS.c.at)),
    "spot_checks": Expiry(_CHECKS, "heartbeats", _by(_CHECKS.c.at)),
    HISTORY: Expiry(_HISTORY, "history", _history, _HISTORY.c.id),
    "trickled": Expiry(_TRICKLED, "heartbeats", _by(_TRICKLED.c.at)),
    "answers": Expiry(_ANSWERS, "answers", _by(_ANSWERS.c.found_at)),
    "sessions": Expiry(_SESSIONS, "answers", _by(_SESSIONS.c.expires_at)),
    **{f"tombstones_{kind}": _tombstones(kind) for kind in Kind},
}
"""Every sort of row that is removed when it is old, in the order of removal: differences before their runs."""
