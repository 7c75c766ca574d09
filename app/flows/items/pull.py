"""The delta path: reads changes since the watermark, applies complete records, owes the rest, moves the watermark."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from app.domain import (
    SKU_PREFIX,
    Cause,
    Change,
    ItemKey,
    Kind,
    Listing,
    Page,
    Record,
    batches,
    key_of,
)
from app.errors import DatabaseFault, RateLimited
from app.flows.connections import health
from app.flows.connections.limited import not_limited
from app.flows.deps import Deps
from app.flows.holds.doubted import doubted
from app.flows.items.bad_records import (
    Failure,
    Healing,
    healing,
    isolated,
    log_failures,
    record_failures,
    split_storable,
    unread,
    unstorable,
)
from app.flows.items.bulk_read import BulkRead
from app.flows.items.doubted_items import judge_named
from app.flows.items.owing import BATCH_SIZE, changes_by_mention, owe_refused, owe_unknown, unknown
from app.rules.guard.guard import FIRST_LOAD, POLL
from app.sources.base import Source
from app.stores import catalog, owed
from app.stores.catalog import watermarks
from app.stores.catalog.spool import Spool
from app.stores.owed import Claim, Noted
from app.stores.runs import failed_items

BLOCKED_PAUSE = timedelta(seconds=30)
"""After this time a pull of a blocked kind or connection is tried again."""

CheckLease = Callable[[Connection], None]
"""Called before each commit of a pull; raises ``_TakenOver`` if the pull has lost its lease."""

log = structlog.get_logger()


class _TakenOver(Exception):
    """The pull lost its lease: whoever took it over reads later, so this pull must write nothing more."""


@dataclass
class _Pulled:
    """What a pull has read so far: items (``seen``) with the newest version shown of each, hints (``changes``), and
    failures."""

    seen: dict[str, int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    healed: list[str] = field(default_factory=list)
    watermark: str | None = None
    everything: bool = False
    outcome: str = "applied"

    def add(self, record: Record) -> None:
        """Note an item as read, under every external id by which it can be owed."""
        names = [key_of(record)[0]]
        if isinstance(record, Listing) and record.sku:
            names.append(SKU_PREFIX + record.sku)
        for name in names:
            self.seen[name] = max(self.seen.get(name, 0), record.version)

    def failing(self) -> set[str]:
        """The external ids of items that failed."""
        return {failure.ref.external_id for failure in self.failures}


def pull(deps: Deps, claim: Claim) -> list[ItemKey]:
    """Catch up one kind of one connection; returns the items that now need a message.

    The watermark moves only after the last page, when the items that need a fetch of their own are owed. If the vendor does
    not answer us, or not for this kind, the pull is postponed without a failed attempt. Raises any other error of the
    source: the items that wait for the pull are then fetched one by one. A pull that lost its lease writes nothing more.
    """
    try:
        return _pull(deps, claim)
    except _TakenOver:
        log.warning("pull_taken_over", connection=claim.key.connection, kind=claim.key.kind)
        return []


def _pull(deps: Deps, claim: Claim) -> list[ItemKey]:
    connection, kind = claim.key.connection, claim.key.kind
    source = deps.bulk_sources[connection]
    if health.blocked(deps, connection, kind):
        _postpone(deps, claim)
        return []
    with deps.database.begin() as conn:
        since = watermarks.get(conn, connection, kind)
        pulled_at = watermarks.pulled_at(conn, connection, kind)
        if pulled_at is not None and (due := pulled_at + timedelta(seconds=source.pace(kind))) > deps.now():
            owed.postpone(conn, [claim], next_at=due)
            return []
        noted = owed.noted(conn, connection, kind)
    read_it = _read_whole if since is None or kind in source.whole_kinds else _read_delta
    try:
        read = read_it(deps, source, connection, kind, since, claim.cause, partial(_still_ours, claim))
    except (DatabaseFault, RateLimited, _TakenOver):
        raise
    except Exception as error:
        if health.judge(deps, connection, kind, error) is not health.Fault.ITEM:  # the whole kind or connection
            _postpone(deps, claim)
            return []
        with deps.database.begin() as conn:  # so that no second storm defers its items again
            watermarks.fail(conn, connection, kind, deps.now())
        raise
    return _finish(deps, claim, read, noted)


def _still_ours(claim: Claim, conn: Connection) -> None:
    if not owed.still_held(conn, [claim]):
        raise _TakenOver


def _postpone(deps: Deps, claim: Claim) -> None:
    with deps.database.begin() as conn:
        owed.postpone(conn, [claim], next_at=deps.now() + BLOCKED_PAUSE)


def _read_whole(
    deps: Deps, source: Source, connection: str, kind: Kind, since: str | None, by: str, check_lease: CheckLease
) -> _Pulled:
    """Read a first load, or a kind that has no delta, as a whole."""
    is_complete = kind in source.whole_kinds
    result = BulkRead(
        deps,
        connection,
        kind,
        lambda: source.full(kind) if is_complete else source.delta(kind, None),
        by,
        checks=FIRST_LOAD if since is None else POLL,
        on_commit=lambda conn, _: check_lease(conn),
    ).reconcile()
    if result.held:
        # The watermark stays, but pace and storms count from now.
        return _Pulled(outcome="held", watermark=since, failures=result.failures)
    return _Pulled(
        changes=result.changes,
        failures=result.failures,
        healed=result.healed,
        watermark=result.mark(source.whole_kinds),
        everything=result.complete,
    )


def _read_delta(
    deps: Deps, source: Source, connection: str, kind: Kind, since: str | None, by: str, check_lease: CheckLease
) -> _Pulled:
    """Read what changed since the watermark; the guard judges it as one batch before any of it is applied."""
    read, healer, began = _Pulled(), healing(deps, connection, kind), deps.now()
    spool = _spool(deps, connection, source.delta(kind, since), read, healer, Spool(kind))

    def apply(records: Sequence[Record]) -> None:
        def work(conn: Connection) -> None:
            applied = catalog.apply(conn, connection, records, read_at=began, now=deps.now(), by=by)
            owe_refused(deps, conn, connection, records, applied)
            check_lease(conn)

        deps.database.transact(work)
        for record in records:
            read.add(record)

    unread_ids = {failure.shown for failure in read.failures}
    held = doubted(deps, connection, spool, began, POLL, unread=unread_ids)
    good_ones = (record for record in spool if held is None or key_of(record) not in held.keys)
    for records in batches(good_ones, BATCH_SIZE):
        isolated(records, apply, lambda record, error: read.failures.append(unstorable(record, error)), (_TakenOver,))
    read.healed = healer.healed(read.failing(), complete=False)
    return read


def _spool(deps: Deps, connection: str, pages: Iterable[Page], read: _Pulled, healer: Healing, spool: Spool) -> Spool:
    """Read all pages: the storable records into the spool, everything else into ``read`` and ``healer``."""
    for page in pages:
        good, bad = split_storable(page.records)
        for record in good:
            spool.add("", record, 0)
        healer.note(page.records)
        read.failures.extend([*map(unread, page.failed), *bad])
        read.changes.extend([*page.changes, *changes_by_mention(deps, connection, page)])
        read.watermark = page.watermark or read.watermark
    return spool


def _finish(deps: Deps, claim: Claim, read: _Pulled, noted: Sequence[Noted]) -> list[ItemKey]:
    connection, kind = claim.key.connection, claim.key.kind
    not_limited(deps, connection, kind)
    fresh = _owe_named(deps, connection, kind, read.changes)
    now = deps.now()
    with deps.database.begin() as conn:
        _still_ours(claim, conn)
        if read.watermark is not None:
            watermarks.put(conn, connection, kind, read.watermark, now)
        record_failures(deps, conn, connection, read.failures)
        failed_items.resolve(conn, connection, kind, read.healed, now)
        again = owed.settle(conn, [(claim, read.outcome)], now)
    for some in batches(_covered(claim, read, noted), BATCH_SIZE):
        with deps.database.begin() as conn:
            owed.settle_noted(conn, some, "applied", now)
    log_failures(connection, read.failures)
    log.info("pulled", connection=connection, kind=kind, applied=len(read.seen), owed=len(fresh))
    return fresh + again


def _owe_named(deps: Deps, connection: str, kind: Kind, changes: Sequence[Change]) -> list[ItemKey]:
    """Owe the items that the list only names, after the guard has judged them as one batch."""
    with deps.database.read() as conn:
        some = [unknown(conn, connection, kind, few) for few in batches(changes, BATCH_SIZE)]
    judge_named(deps, connection, kind, [change.external_id for few in some for change in few])
    return owe_unknown(deps, connection, kind, changes, Cause.LOOKUP).fresh


def _covered(claim: Claim, read: _Pulled, noted: Sequence[Noted]) -> list[Noted]:
    """The items owed before the read that it has shown, or must have shown. If a hint names a newer version, the list
    lags, and the item is fetched by itself."""
    hinted = {change.external_id for change in read.changes} | read.failing()
    owed_before = [item for item in noted if item.key != claim.key and item.key.external_id not in hinted]
    shown = ((item, read.seen.get(item.key.external_id)) for item in owed_before)
    return [item for item, version in shown if read.everything or (version is not None and version >= item.version)]
