"""The actors: signposts from a message to a flow, nothing more."""

from collections.abc import Callable, Sequence

import dramatiq

from app.channels.queue import BULK, LIVE
from app.domain import ItemKey, Kind
from app.errors import DatabaseFault
from app.flows.deps import Deps
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.letters.drive_replay import drive_replay
from app.flows.runs.run import run


def register(broker: dramatiq.Broker, deps: Deps, keeper: LeaseKeeper) -> None:
    """Declare every actor on the broker."""

    def sync(connection: str, kind: str, external_id: str, also: Sequence[str] = ()) -> None:
        sync_item(deps, keeper, ItemKey(connection, Kind(kind), external_id), also)

    def bulk(run_id: int) -> None:
        run(deps, keeper, run_id)

    def replay(replay_id: int) -> None:
        drive_replay(deps, replay_id)

    _declare(broker, "sync_item", LIVE, sync)
    _declare(broker, "replay", LIVE, replay)
    _declare(broker, "run", BULK, bulk)


def _declare(broker: dramatiq.Broker, name: str, queue: str, work: Callable[..., None]) -> None:
    # what the database's trouble ended stays owed; a traceback of each would fill the log
    dramatiq.actor(actor_name=name, queue_name=queue, broker=broker, throws=(DatabaseFault,))(work)
