"""Collects what is remembered of differing rows, for ``rules.drift.reasons`` to tell from it why each was wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from app.domain import SKU_PREFIX, WHOLE, Kind, Listing, Record, Ref, StockCount, key_of
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
from app.stores.runs.item_signals import Failing, ItemSignals, Settled
from app.stores.upkeep import heartbeats, marks

FIRST_LOOK_BACK = timedelta(days=2)
"""How far back is looked where no complete read was noted yet."""

_BAD_ENDS = ("dead", "held")


class Background(NamedTuple):
    """What is known of a kind as a whole while a run compares it."""

    full: FullRead | None
    whole: ItemSignals
    restores: list[Restore]
    downs: list[Span]
    not_looked: datetime | None
    refused: list[Refused]
    mapping: Span | None


class Differing(NamedTuple):
    """A row that differs: its key, our row before, and what the source shows of it."""

    key: tuple[str, ...]
    before: StoredRow | None
    record: Record | None

    @property
    def change(self) -> str:
        """As ``tables.Drift`` tells."""
        if self.record is None:
            return "vanished"
        return "missing" if self.before is None else "differs"


def background(deps: Deps, connection: str, kind: Kind) -> Background:
    """To be asked before a run takes the whole kind for itself: what was owed of it is settled by that."""
    now = deps.now()
    with deps.database.read() as conn:
        full = full_reads.get(conn, connection, kind)
        since = now - FIRST_LOOK_BACK if full is None else full.began_at
        return Background(
            full,
            item_signals.signals_of(conn, connection, kind, [WHOLE], since),
            [Restore(*one) for one in marks.restores(conn, since)] + _set_back(conn, connection, kind, full, now),
            [Span(*one) for one in heartbeats.silences(conn, "web", since, DOWN_AFTER)],
            _not_looked(conn, connection, kind, full),
            refusals.since(conn, connection, since),
            _mapping(deps, connection, kind, full),
        )


def _set_back(conn: Connection, connection: str, kind: Kind, full: FullRead | None, now: datetime) -> list[Restore]:
    """A table that ends before the last complete read wrote into it was restored by itself."""
    wrote = None if full is None else full.wrote_at
    last = full_reads.last_written(conn, connection, kind)
    if wrote is None or last is None or last >= wrote or item_signals.any_removed(conn, connection, kind, wrote):
        return []
    return [Restore(last, wrote, now, everything=False)]


def _not_looked(conn: Connection, connection: str, kind: Kind, full: FullRead | None) -> datetime | None:
    """Since when nobody looked for changes, where that is because the polls are off."""
    if item_signals.is_polled(conn, connection, POLL) is not False:
        return None
    looks = [watermarks.pulled_at(conn, connection, kind), None if full is None else full.began_at]
    return max((one for one in looks if one is not None), default=None)


def _mapping(deps: Deps, connection: str, kind: Kind, full: FullRead | None) -> Span | None:
    if full is None or full.mapping == mapping_of(deps.bulk_sources[connection], kind):
        return None
    return Span(full.ended_at, deps.now())


def reasons(
    deps: Deps, connection: str, kind: Kind, rows: Sequence[Differing], read_at: datetime, known: Background
) -> list[Reason]:
    """Why each of some hundred rows differs, in their order."""
    names = [_names(row) for row in rows]
    lacking = ["/".join(row.key) for row in rows if row.before is None]
    since = None if known.full is None else known.full.began_at
    with deps.database.read() as conn:
        every = sorted({name for some in names for name in some})
        signals = item_signals.signals_of(conn, connection, kind, every, since)
        removed = item_signals.removed(conn, connection, kind, lacking) if lacking else {}
    found = [
        _traces(kind, row, own, signals, known, removed, read_at, deps.now())
        for row, own in zip(rows, names, strict=True)
    ]
    if known.mapping is not None:
        lonely = _alone_in_fields(rows)
        found = [replace(one, alone_in_fields=is_alone) for one, is_alone in zip(found, lonely, strict=True)]
    lost = [one.settled.at for one in found if went_back(one) and one.settled is not None]
    if lost and not known.restores:
        with deps.database.read() as conn:
            last = full_reads.last_written(conn, connection, kind)
        known.restores.append(Restore(last or min(lost), max(lost), deps.now(), everything=False))
    return [reason_of(one) for one in claimed(found)]


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
    whole = known.whole.waiting.get(WHOLE)
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
        whole_failing=_failing(known.whole, [WHOLE]),
        whole_waiting=None if whole is None else whole.since,
        settled=_settled(signals, names),
        restores=known.restores,
        mapping=known.mapping,
        content_only=_is_content_only(row),
        downs=known.downs,
        looks=[one.heard_at for one in known.whole.settled.get(WHOLE, ()) if one.outcome == "applied"],
        not_looked=known.not_looked,
        refused=[one.at for one in known.refused if not one.items],
        refused_by_name=[one.at for one in known.refused if _is_named(kind, names, one.items)],
    )


FEW = 3
"""A new mapping shows in more than so many rows, or it cannot be told from an edit without a trace."""


def _alone_in_fields(rows: Sequence[Differing]) -> list[bool]:
    """Which rows of equal version differ in fields in which no other does, while several others share theirs."""
    fields = [_fields_of_equals(row) for row in rows]
    times = Counter(name for some in fields if some is not None for name in some)
    several = any(number >= FEW for number in times.values())
    return [several and some is not None and all(times[name] == 1 for name in some) for some in fields]


def _fields_of_equals(row: Differing) -> frozenset[str] | None:
    """In which fields a row of the source's own version differs; ``None`` for any other row."""
    if row.before is None or row.record is None or row.before.row_hash == LOCALLY_EDITED or _is_newer(row):
        return None
    return frozenset(field_changes(row.before.record, row.record))


def _is_newer(row: Differing) -> bool | None:
    """Whether the source's version is ahead of ours; ``None`` where it has none but the time of the read."""
    if row.before is None or row.record is None:
        return None
    return None if row.record.modified_at is None else row.record.version > row.before.record.version


def _right_at(row: Differing, known: Background, now: datetime, *, edited: bool) -> datetime | None:
    """When our copy of the row was last known to be right: a complete read, the read that brought it, or a look at the
    kind that would have shown a change, began then."""
    full = known.full
    whole = None if full is None else full.checked_at if edited else full.began_at
    own = None if row.before is None else row.before.read_at
    looked = None if edited else _looked_at(row, known, now)
    return max((one for one in (whole, own, looked) if one is not None and one <= now), default=None)


def _looked_at(row: Differing, known: Background, now: datetime) -> datetime | None:
    """When the last look at the kind began that the change would have shown up in. Of a source without times of change
    any look would; one with them shows what changed before the look, unless the change left no trace."""
    is_newer = _is_newer(row)
    changed = None if row.record is None else row.record.modified_at
    if row.record is None or is_newer is False:
        return None
    until = now if changed is None else changed
    looks = known.whole.settled.get(WHOLE, ())
    return max((one.heard_at for one in looks if one.outcome == "applied" and one.at < until), default=None)


def _is_content_only(row: Differing) -> bool:
    """Whether what differs can come from how it is read: counts are no matter of reading."""
    before = None if row.before is None else row.before.record
    if not isinstance(before, StockCount) or not isinstance(row.record, StockCount):
        return True
    return before.quantity == row.record.quantity


def _failing(signals: ItemSignals, names: Sequence[str]) -> Evidence | None:
    """What failed of an item and was not made good since."""
    for name in names:
        waits = signals.waiting.get(name)
        if waits is not None and waits.failing:
            return Evidence(waits.since, "it is being tried again and again")
    ends = [one.at for one in _settled(signals, names)]
    open_ = [one for name in names for one in signals.failing.get(name, ()) if not _is_made_good(one, ends)]
    return min((Evidence(one.since, one.words) for one in open_), default=None)


def _is_made_good(failing: Failing, ends: Iterable[datetime]) -> bool:
    return any(at > failing.at for at in ends)


def _settled(signals: ItemSignals, names: Sequence[str]) -> SettledChange | None:
    last = max(_settled(signals, names), key=lambda one: one.at, default=None)
    return None if last is None else SettledChange(last.outcome, last.cause, last.heard_at, last.at)


def _settled(signals: ItemSignals, names: Sequence[str]) -> list[Settled]:
    return [one for name in names for one in signals.settled.get(name, ()) if one.outcome not in _BAD_ENDS]


def _is_named(kind: Kind, names: Sequence[str], items: Sequence[Ref]) -> bool:
    return any(item.kind is kind and item.external_id in names for item in items)


def _names(row: Differing) -> list[str]:
    """The external ids under which the row's item can have been owed."""
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
