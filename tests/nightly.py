"""A shop of forty products that we hold, and its complete read."""

from datetime import timedelta
from typing import Any

from app.flows.items.leases import LeaseKeeper
from app.flows.runs.run import run
from app.stores.sql.engine import Database
from tests.asking import request_reconcile
from tests.fakes import EPOCH, SHOP, World, listing


def forty_products(database: Database, *, ago: float) -> World:
    """All of them were read for the first time so many seconds ago, an hour after the shop opened."""
    world = World(database)
    world.clock.moment = EPOCH + timedelta(hours=1)
    world.source.put(*(listing(f"P{n:02}", version=5) for n in range(40)))
    night(world)
    world.clock.pass_(ago)
    return world


def night(world: World, **options: Any) -> int:
    """One run from its request to its end; returns its id."""
    run_id = request_reconcile(world.deps, SHOP, **options)
    run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    return run_id
