"""The item path: lease what is owed, fetch the truth, apply it, settle.

A message is only a hint. Whoever gets it leases the item, and as many other due items of the kind as one call can fetch,
so a backlog drains in batches. No transaction is open while the vendor is called.
"""

from collections.abc import Sequence
from uuid import uuid4

import structlog

from app.channels.queue import LIVE
from app.domain import ItemKey
from app.errors import BadConfiguration, DatabaseFault
from app.flows.connections import health
from app.flows.deps import Deps
from app.flows.items.dead_letter import ITEM_ACTOR, record_dead_letter
from app.flows.items.item_work import ItemWork
from app.flows.items.leases import LEASE, LeaseKeeper, blameless
from app.sources.base import Source
from app.stores import owed

log = structlog.get_logger()


def sync_item(deps: Deps, keeper: LeaseKeeper, key: ItemKey, also: Sequence[str] = ()) -> None:
    """Bring an item up to date, and with it those ``also`` named of its kind, unless they are no longer owed.

    Failures that waiting may cure are recorded and postponed here; a fault of the database does not count as one. A final
    failure is raised: the message is then dead, and ``flows.items.dead_letter`` records it. If the connection already holds
    its share of this process's threads, the item is parked, and the next free one of them works on it.
    """
    if not keeper.shares.enter(key, also):
        return
    work: tuple[ItemKey, Sequence[str]] | None = (key, also)
    stranded: tuple[ItemKey, Sequence[str]] | None = None
    try:
        while work is not None:
            try:
                _sync_one(deps, keeper, *work, is_parked=work[0] != key)
            except DatabaseFault as error:
                # no item's fault: the leases were released, and the sweep sends what is parked
                log.debug("database_away", item="/".join(work[0]), error=str(error))
                return
            work = None if keeper.stopping else keeper.shares.next(key.connection)
    finally:
        if work is not None or keeper.stopping:
            stranded = keeper.shares.leave(key.connection)
        if stranded is not None and not keeper.stopping:  # this message ends, and its thread with it
            first, others = stranded
            deps.queue.enqueue([first, *(first._replace(external_id=id) for id in others)])


def _sync_one(deps: Deps, keeper: LeaseKeeper, key: ItemKey, also: Sequence[str], *, is_parked: bool) -> None:
    """Sync an item and raise its final failure. A parked item has no message that could become a dead letter, so its dead
    letter is recorded here."""
    try:
        _sync_unless_blocked(deps, keeper, key, also)
    except DatabaseFault:
        raise
    except Exception as error:
        if not is_parked:
            raise
        args = [key.connection, str(key.kind), key.external_id]
        record_dead_letter(deps, message_id=uuid4().hex, actor=ITEM_ACTOR, queue=LIVE, args=args, error=error)


def _sync_unless_blocked(deps: Deps, keeper: LeaseKeeper, key: ItemKey, also: Sequence[str]) -> None:
    """Claim the item and work on it, unless its connection or kind must not be called now."""
    source = deps.sources.get(key.connection)
    if source is None:
        raise BadConfiguration(f"item {key} belongs to connection {key.connection!r}, which is not configured")
    if health.blocked(deps, key.connection, key.kind) is not None:
        return  # it stays owed, and the sweep sends it again when the connection is well
    if _claim_and_work(deps, keeper, source, key, also):
        return
    with deps.database.read() as conn:
        is_candidate = owed.is_poison_candidate(conn, key, deps.now(), blameless=blameless(deps))
    if is_candidate:
        _work_isolated(deps, keeper, source, key)


def _work_isolated(deps: Deps, keeper: LeaseKeeper, source: Source, key: ItemKey) -> None:
    """Work on at most one poison candidate at a time: if it kills this process, no other item is suspected with it. The
    sweep sends the others again."""
    with keeper.isolated() as is_alone:
        if is_alone:
            _claim_and_work(deps, keeper, source, key, (), poison_candidates=True)


def _claim_and_work(
    deps: Deps,
    keeper: LeaseKeeper,
    source: Source,
    key: ItemKey,
    also: Sequence[str],
    *,
    poison_candidates: bool = False,
) -> bool:
    """Lease the item, those named with it and due neighbours, and process them; ``False`` if nothing could be leased."""
    more = source.batch_size(key.kind) - 1
    with deps.database.begin() as conn:
        claims = owed.claim(
            conn,
            key,
            also=also,
            more=more,
            lease=LEASE,
            now=deps.now(),
            poison_candidates=poison_candidates,
            blameless=blameless(deps),
        )
    if claims:
        with keeper.hold_claims(claims):
            try:
                ItemWork(deps, keeper, source, key).do(claims)
            except DatabaseFault:
                keeper.release_claims(claims)
                raise
    return bool(claims)
