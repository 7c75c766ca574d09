"""The delta path: read what changed since the watermark, apply complete records, owe the rest, move the watermark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection

from app.domain import SKU_PREFIX, Cause, Change, ItemKey, Kind, Listing, Record, batches, key_of
from app.flows.absorb import absorb
from app.flows.deps import Deps
from app.rules.guard import FIRST_LOAD, POLL
from app.sources.base import Source
from app.stores import catalog, owed, watermarks
from app.stores.owed import Claim, Noted

READ_LAG = timedelta(seconds=3)
"""A version that is a second's time may hide a second edit, so its row is known only if read this long after."""

AT_ONCE = 500
"""Items per commit. One long transaction would make the receiver's acknowledgements wait."""

log = structlog.get_logger()


@dataclass
class _Read:
    """What a pull has read so far: the items it can vouch for, and the hints it got."""

    seen: set[str] = field(default_factory=set)
    changes: list[Change] = field(default_factory=list)
    watermark: str | None = None
    everything: bool = False
    outcome: str = "applied"

    def add(self, record: Record) -> None:
        """Note an item as read, under every name by which it can be owed."""
        self.seen.add(key_of(record)[0])
        if isinstance(record, Listing) and record.sku:
            self.seen.add(SKU_PREFIX + record.sku)


def pull(deps: Deps, claim: Claim) -> list[ItemKey]:
    """Catch up one kind of one connection; returns the items that now need a message.

    The watermark moves only with the last page, in the transaction that owes what needs a fetch of its own and
    settles the items that the read has shown. Raises what the source raises.
    """
    connection, kind = claim.key.connection, claim.key.kind
    source = deps.bulk_sources[connection]
    with deps.database.begin() as conn:
        since = watermarks.get(conn, connection, kind)
        pulled_at = watermarks.pulled_at(conn, connection, kind)
        if pulled_at is not None and (due := pulled_at + timedelta(seconds=source.pace(kind))) > deps.now():
            owed.postpone(conn, claim, next_at=due)
            return []
        noted = owed.noted(conn, connection, kind)
    read_it = _read_whole if since is None or kind in source.whole_kinds else _read_delta
    read = read_it(deps, source, connection, kind, since)
    return _finish(deps, claim, read, noted)


def _read_whole(deps: Deps, source: Source, connection: str, kind: Kind, since: str | None) -> _Read:
    """A first load, or a kind that has no delta."""
    is_complete = kind in source.whole_kinds
    absorbed = absorb(
        deps,
        connection,
        kind,
        lambda: source.full(kind) if is_complete else source.delta(kind, None),
        deeds=FIRST_LOAD if since is None else POLL,
    )
    if absorbed.held:
        # Not read any further, but looked at: pace and storms count from now.
        return _Read(outcome="held", watermark=since)
    mark = absorbed.mark(source.whole_kinds)
    return _Read(changes=absorbed.changes, watermark=mark, everything=absorbed.complete)


def _read_delta(deps: Deps, source: Source, connection: str, kind: Kind, since: str | None) -> _Read:
    read = _Read()
    began = deps.now()
    for page in source.delta(kind, since):
        with deps.database.begin() as conn:
            catalog.apply(conn, connection, page.records, read_at=began, now=deps.now())
        for record in page.records:
            read.add(record)
        read.changes.extend(page.changes)
        read.watermark = page.watermark or read.watermark
    return read


def _finish(deps: Deps, claim: Claim, read: _Read, noted: Sequence[Noted]) -> list[ItemKey]:
    connection, kind = claim.key.connection, claim.key.kind
    fresh = owe_news(deps, connection, kind, read.changes, Cause.LOOKUP)
    now = deps.now()
    with deps.database.begin() as conn:
        if read.watermark is not None:
            watermarks.put(conn, connection, kind, read.watermark, now)
        again = owed.settle(conn, [(claim, read.outcome)], now)
    for some in batches(_covered(claim, read, noted), AT_ONCE):
        with deps.database.begin() as conn:
            owed.settle_noted(conn, some, "applied", now)
    log.info("pulled", connection=connection, kind=kind, applied=len(read.seen), owed=len(fresh))
    return fresh + again


def _covered(claim: Claim, read: _Read, noted: Sequence[Noted]) -> list[Noted]:
    """The items owed before the read that it has shown, or must have shown."""
    hinted = {change.external_id for change in read.changes}
    owed_before = [item for item in noted if item.key != claim.key and item.key.external_id not in hinted]
    return [item for item in owed_before if read.everything or item.key.external_id in read.seen]


def owe_news(deps: Deps, connection: str, kind: Kind, changes: Sequence[Change], cause: Cause) -> list[ItemKey]:
    """Owe what hints say is new, a few per commit; returns the items that were not owed before.

    An overlapping read names many items that we hold in that very version: those are no news.
    """
    fresh: list[ItemKey] = []
    for some in batches(changes, AT_ONCE):
        with deps.database.begin() as conn:
            fresh += owed.remember(conn, connection, _unknown(conn, connection, kind, some), cause, deps.now())
    return fresh


def _unknown(conn: Connection, connection: str, kind: Kind, changes: Sequence[Change]) -> list[Change]:
    known = catalog.versions(conn, connection, kind, [change.external_id for change in changes])
    return [change for change in changes if not _is_known(change, known.get(change.external_id))]


def _is_known(change: Change, known: tuple[int, datetime] | None) -> bool:
    if known is None or change.version == 0:
        return False
    version, read_at = known
    edited = datetime.fromtimestamp(change.version / 1_000_000, UTC)
    return version >= change.version and read_at >= edited + READ_LAG
