"""The item path: lease what is owed, fetch the truth, apply it, settle, all decided by the database.

A message only says hurry. Whoever gets it leases the item, and with it as many other due items of the kind as one
call can fetch, so a backlog drains in batches by itself. No transaction is open while the vendor is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.domain import ItemKey
from app.errors import BadConfiguration
from app.flows.deps import Deps
from app.flows.item_work import ItemWork
from app.flows.leases import LEASE, LeaseKeeper
from app.sources.base import Source
from app.stores import owed


def sync_item(deps: Deps, keeper: LeaseKeeper, key: ItemKey, also: Sequence[str] = ()) -> None:
    """Bring one item up to date, and with it those ``also`` named of its kind; what is no longer owed is left alone.

    Failures that waiting may cure are recorded and postponed here. One that is final is raised: the caller's
    message is then dead, and ``flows.bury`` turns it into a dead letter.
    """
    source = deps.sources.get(key.connection)
    if source is None:
        raise BadConfiguration(f"item {key} belongs to connection {key.connection!r}, which is not configured")
    if _work_on(deps, keeper, source, key, also):
        return
    with deps.database.read() as conn:
        suspect = owed.is_suspect(conn, key, deps.now())
    if suspect:
        _work_apart(deps, keeper, source, key)


def _work_apart(deps: Deps, keeper: LeaseKeeper, source: Source, key: ItemKey) -> None:
    """One suspect at a time in a process: they would all be lost with the one that kills it. The others are sent
    again by the sweep."""
    with keeper.apart() as alone:
        if alone:
            _work_on(deps, keeper, source, key, (), suspects=True)


def _work_on(
    deps: Deps, keeper: LeaseKeeper, source: Source, key: ItemKey, also: Sequence[str], *, suspects: bool = False
) -> bool:
    """Lease and work; ``False`` when there was nothing to lease."""
    more = source.batch_size(key.kind) - 1
    with deps.database.begin() as conn:
        claims = owed.claim(conn, key, also=also, more=more, lease=LEASE, now=deps.now(), suspects=suspects)
    if claims:
        with keeper.hold_claims(claims):
            ItemWork(deps, source, key).do(claims)
    return bool(claims)
