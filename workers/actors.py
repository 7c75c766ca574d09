"""The actors: signposts from a message to a flow, nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dramatiq

from app.channels.queue import BULK, LIVE
from app.domain import ItemKey, Kind
from app.flows.deps import Deps
from app.flows.leases import LeaseKeeper
from app.flows.reconcile import reconcile
from app.flows.sync_item import sync_item


def register(broker: dramatiq.Broker, deps: Deps, keeper: LeaseKeeper) -> None:
    """Declare every actor on the broker."""

    def sync(connection: str, kind: str, external_id: str, also: Sequence[str] = ()) -> None:
        sync_item(deps, keeper, ItemKey(connection, Kind(kind), external_id), also)

    def run(run_id: int) -> None:
        reconcile(deps, keeper, run_id)

    _declare(broker, "sync_item", LIVE, sync)
    _declare(broker, "reconcile", BULK, run)


def _declare(broker: dramatiq.Broker, name: str, queue: str, work: Callable[..., None]) -> None:
    dramatiq.actor(actor_name=name, queue_name=queue, broker=broker)(work)
