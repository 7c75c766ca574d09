"""Collects the traces of differing rows, from which ``rules.drift.reasons`` finds why each was wrong."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from app.domain import ALL_ITEMS, SKU_PREFIX, Kind, Listing, Record, Ref, StockCount, key_of
from app.flows.deps import Deps
from app.rules.drift.drift import Evidence, Reason, Restore, SettledChange, Span, Traces
from app.rules.drift.reasons import claimed, reason_of, went_back
from app.rules.inbox.silence import DOWN_AFTER
from app.rules.runs.jobs import POLL
from app.sources.fingerprint import mapping_of
from app.stores.catalog import StoredRow, full_reads, watermarks
from app.stores.catalog.full_reads import FullRead
from app.stores.catalog.newer import LOCALLY_EDITED
from app.stores.inbox import refusals
from app.stores.inbox.refusals import Refused
from app.stores.runs import item_signals
from app.stores.runs.drift import field_changes
from app.stores.runs.item_signals import ItemSignals
from app.stores.upkeep import heartbeats, marks

FIRST_LOOK_BACK = timedelta(days=2)
"""How far back to look where no complete read is recorded yet."""

_BAD_ENDS = ("dead", "held")


class Background(NamedTuple):
    """What is known of a whole kind while a run compares it; ``whole`` are the signals of its ``*`` item."""

    full: FullRead | None
    whole: ItemSignals
    restores: list[Restore]
    downs: list[Span]
    not_looked: datetime | None
    refused: list[Refused]
    mapping: Span | None


class Differing(NamedTuple):
    """A row that differs: its key, our row before (with all columns), and the source's record of it."""

    key: tuple[str, ...]
    before: StoredRow | None
    record: Record | None

    @property
    def change(self) -> str:
        """``missing``, ``differs`` or ``vanished``."""
        if self.record is None:
            return "vanished"
        return "missing" if self.before is None else "differs"


def background(deps: Deps, connection: str, kind: Kind) -> Background:
    """The background of a kind. Must be called before the run locks the kind, because the lock settles what is owed of the
    whole kind."""
    now = deps.now()
    with deps.database.read() as conn:
        full = full_reads.get(conn, connection, kind)
        since = now - FIRST_LOOK_BACK if full is None else full.began_at
        return Background(
            full,
            item_signals.signals_of(conn, connection, kind, [ALL_ITEMS], since),
            marks.restores(conn, since) + _set_back(conn, connection, kind, full, now),
            heartbeats.silences(conn, "web", since, DOWN_AFTER),
            _not_looked(conn, connection, kind, full),
            refusals.since(conn, connection, since),
            _mapping(deps, connection, kind, full),
        )


def _set_back(conn: Connection, connection: str, kind: Kind, full: FullRead | None, now: datetime) -> list[Restore]:
    """The restore of one table: its newest row is older than the last write of a complete read."""
    wrote = None if full is None else full.wrote_at
    last = full_reads.last_written(conn, connection, kind)
    if wrote is None or last is None or last >= wrote or item_signals.any_removed(conn, connection, kind, wrote):
        return []
    return [Restore(last, wrote, now, everything=False)]


def _not_looked(conn: Connection, connection: str, kind: Kind, full: FullRead | None) -> datetime | None:
    """Since when nothing looked for changes, if polls are off; ``None`` if they are on."""
    if item_signals.is_polled(conn, connection, POLL) is not False:
        return None
    looks = [watermarks.pulled_at(conn, connection, kind), None if full is None else full.began_at]
    return max((look for look in looks if look is not None), default=None)


def _mapping(deps: Deps, connection: str, kind: Kind, full: FullRead | None) -> Span | None:
    if full is None or full.mapping == mapping_of(deps.bulk_sources[connection], kind):
        return None
    return Span(full.ended_at, deps.now())


def reasons(
    deps: Deps, connection: str, kind: Kind, rows: Sequence[Differing], read_at: datetime, known: Background
) -> list[Reason]:
    """Why each row differs, in their order; for a few hundred rows at most."""
    names = [_names(row) for row in rows]
    lacking = ["/".join(row.key) for row in rows if row.before is None]
    since = None if known.full is None else known.full.began_at
    with deps.database.read() as conn:
        every = sorted({name for some in names for name in some})
        signals = item_signals.signals_of(conn, connection, kind, every, since)
        removed = item_signals.removed(conn, connection, kind, lacking) if lacking else {}
    traces = [
        _traces(kind, row, own, signals, known, removed, read_at, deps.now())
        for row, own in zip(rows, names, strict=True)
    ]
    if known.mapping is not None:
        lonely = _alone_in_fields(rows)
        traces = [
            replace(own_traces, alone_in_fields=is_alone) for own_traces, is_alone in zip(traces, lonely, strict=True)
        ]
    lost = [trace.settled.at for trace in traces if went_back(trace) and trace.settled is not None]
    if lost and not known.restores:
        with deps.database.read() as conn:
            last = full_reads.last_written(conn, connection, kind)
        known.restores.append(Restore(last or min(lost), max(lost), deps.now(), everything=False))
    return [reason_of(own_traces) for own_traces in claimed(traces)]


def _traces(
    kind: Kind,
    row: Differing,
    names: Sequence[str],
    signals: ItemSignals,
    known: Background,
    removed: Mapping[str, datetime],
    read_at: datetime,
    now: datetime,
) -> Traces:
    edited = row.before is not None and row.before.row_hash == LOCALLY_EDITED
    owed = [signals.waiting[name] for name in names if name in signals.waiting]
    whole = known.whole.waiting.get(ALL_ITEMS)
    return Traces(
        change=row.change,
        read_at=read_at,
        found_at=now,
        changed=None if row.record is None else row.record.modified_at,
        newer=_is_newer(row),
        right_at=_right_at(row, known, now, edited=edited),
        written_at=None if row.before is None else row.before.written_at,
        edited=edited,
        removed=removed.get("/".join(row.key)),
        failing=_failing(signals, names),
        waiting=min((one.since for one in owed), default=None),
        whole_failing=_failing(known.whole, [ALL_ITEMS]),
        whole_waiting=None if whole is None else whole.since,
        settled=_last_settled(signals, names),
        restores=known.restores,
        mapping=known.mapping,
        content_only=_is_content_only(row),
        downs=known.downs,
        looks=[one.heard for one in known.whole.settled.get(ALL_ITEMS, ()) if one.outcome == "applied"],
        not_looked=known.not_looked,
        refused=[one.at for one in known.refused if not one.items],
        refused_by_name=[one.at for one in known.refused if _is_named(kind, names, one.items)],
    )


FEW = 3
"""If fewer rows than this differ, a new mapping cannot be distinguished from an edit without a trace."""


def _alone_in_fields(rows: Sequence[Differing]) -> list[bool]:
    """For each row: does it differ, at an equal version, in fields in which no other row does, while others share theirs?"""
    fields = [_fields_of_equals(row) for row in rows]
    times = Counter(name for some in fields if some is not None for name in some)
    several = any(number >= FEW for number in times.values())
    return [several and some is not None and all(times[name] == 1 for name in some) for some in fields]


def _fields_of_equals(row: Differing) -> frozenset[str] | None:
    """The fields in which a row differs although its version is the source's; ``None`` for any other row."""
    if row.before is None or row.record is None or row.before.row_hash == LOCALLY_EDITED or _is_newer(row):
        return None
    return frozenset(field_changes(row.before.record, row.record))


def _is_newer(row: Differing) -> bool | None:
    """Whether the source's version is newer than ours; ``None`` where its only version is the time of the read."""
    if row.before is None or row.record is None:
        return None
    return None if row.record.modified_at is None else row.record.version > row.before.record.version


def _right_at(row: Differing, known: Background, now: datetime, *, edited: bool) -> datetime | None:
    """When our copy of the row was last known to be right: the beginning of the last complete read, of the read that brought
    the row, or of a look at the kind that would have shown a change."""
    full = known.full
    whole = None if full is None else full.checked_at if edited else full.began_at
    own = None if row.before is None else row.before.read_at
    looked = None if edited else _looked_at(row, known, now)
    return max((one for one in (whole, own, looked) if one is not None and one <= now), default=None)


def _looked_at(row: Differing, known: Background, now: datetime) -> datetime | None:
    """When the last look at the kind began that would have shown the change. With a source that has no times of change any
    look would; with one that has them, a look after the change, unless the change left no trace."""
    is_newer = _is_newer(row)
    changed = None if row.record is None else row.record.modified_at
    if row.record is None or is_newer is False:
        return None
    until = now if changed is None else changed
    looks = known.whole.settled.get(ALL_ITEMS, ())
    return max((look.heard for look in looks if look.outcome == "applied" and look.at < until), default=None)


def _is_content_only(row: Differing) -> bool:
    """Whether the difference can come from how we map a record: that never changes a count."""
    before = None if row.before is None else row.before.record
    if not isinstance(before, StockCount) or not isinstance(row.record, StockCount):
        return True
    return before.quantity == row.record.quantity


def _failing(signals: ItemSignals, names: Sequence[str]) -> Evidence | None:
    """What failed of an item and did not succeed since."""
    for name in names:
        waits = signals.waiting.get(name)
        if waits is not None and waits.failing:
            return Evidence(waits.since, "it is being tried again and again")
    ends = [one.at for one in _settled(signals, names)]
    open_ = [one for name in names for one in signals.failing.get(name, ()) if not any(at > one.at for at in ends)]
    return min((Evidence(one.since, one.words) for one in open_), default=None)


def _last_settled(signals: ItemSignals, names: Sequence[str]) -> SettledChange | None:
    return max(_settled(signals, names), key=lambda change: change.at, default=None)


def _settled(signals: ItemSignals, names: Sequence[str]) -> list[SettledChange]:
    return [change for name in names for change in signals.settled.get(name, ()) if change.outcome not in _BAD_ENDS]


def _is_named(kind: Kind, names: Sequence[str], items: Sequence[Ref]) -> bool:
    return any(item.kind is kind and item.external_id in names for item in items)


def _names(row: Differing) -> list[str]:
    """The external ids under which the item of a differing row can have been owed."""
    if row.record is not None:
        return names_of(row.record)
    return names_of_row(row.key, row.before)


def names_of_row(key: Sequence[str], row: StoredRow | None) -> list[str]:
    """The external ids under which the item of one of our rows can be owed."""
    return [key[0]] if row is None else names_of(row.record)


def names_of(record: Record) -> list[str]:
    """The external ids under which a record's item can be owed."""
    names = [key_of(record)[0]]
    if isinstance(record, Listing):
        names += [record.parent_id] if record.parent_id else []
        names += [SKU_PREFIX + record.sku] if record.sku else []
    return names
