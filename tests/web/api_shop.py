"""A shop with something to tell for every operation of the API, and what a person would ask it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx

from app.domain import Kind, Ref, Strategy
from app.flows.upkeep import schedules
from app.flows.upkeep.heartbeat import record_heartbeat
from app.rules.runs.checkpoint import Checkpoint
from app.rules.runs.kind_counts import KindCounts
from app.rules.runs.progress import Progress
from app.stores import catalog
from app.stores.runs import drift, failed_items, runs
from app.stores.runs.drift import DriftRow
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World, count, listing

API = f"/api/sync-{SHOP}"

PAST = (Strategy.FULL, Strategy.INVENTORY, Strategy.FULL)
"""The runs that the shop has behind it, oldest first; the second failed."""


def furnished(database: Database) -> World:
    """A live shop of every kind with three runs behind it, drift, failed items, a schedule, and critical listings."""
    world = World(database)
    world.source.kinds = tuple(Kind)
    with database.begin() as conn:
        low = [listing(name, reorder_point=Decimal(5)) for name in ("A", "B", "C")]
        stock = [count("A", 0), count("B", 3), count("C", 50)]
        catalog.apply(conn, SHOP, [*low, *stock], read_at=world.clock(), now=world.clock())
    first, second, _ = [finished(world, strategy, number == 1) for number, strategy in enumerate(PAST)]
    with database.begin() as conn:
        found = [DriftRow(Kind.PRODUCT, item, "differs", {"name": ["old", "new"]}, "missed") for item in ("A", "B")]
        drift.write(conn, first, SHOP, [*found, DriftRow(Kind.STOCK, "C/L1", "missing")], now=world.clock())
        for item in ("A", "B", "C"):
            ref = Ref(Kind.STOCK, item)
            failed_items.record(
                conn, second, SHOP, ref, category="rate_limit", error=ValueError("no"), now=world.clock()
            )
    give_a_sign(world)
    schedules.save(world.deps, SHOP, "full", "0 3 * * *", "Europe/Berlin")
    return world


def give_a_sign(world: World) -> None:
    """A worker and a clock are alive."""
    for role in ("worker", "clock"):
        record_heartbeat(replace(world.deps, worker=f"{role}@here:1"), role)


def finished(world: World, strategy: Strategy, failed: bool = False) -> int:
    """A run that took a minute and read ten products."""
    run_id = opened(world, strategy)
    world.clock.pass_(60)
    with world.database.begin() as conn:
        counts = {"product": KindCounts(read=10, agreement=0.9)}
        runs.save(conn, run_id, "t", checkpoint=Checkpoint(), progress=Progress(processed=10), counts=counts, calls=7)
        status, error = ("failed", "it broke") if failed else ("completed", None)
        assert runs.finish(conn, run_id, "t", status, error, world.clock())
    return run_id


def opened(world: World, strategy: Strategy = Strategy.FULL) -> int:
    """A run that a worker has begun."""
    with world.database.begin() as conn:
        run_id = runs.open_run(conn, connection=SHOP, strategy=strategy, cause="person", slot=None, now=world.clock())
        assert run_id is not None
        assert runs.start(conn, run_id, "t", 60, world.clock())
    return run_id


def abandon(world: World) -> None:
    """Long enough after that a worker which gave no sign of life counts as gone."""
    world.clock.pass_(timedelta(hours=1).total_seconds())


def post(client: httpx.Client, path: str = "", **body: Any) -> httpx.Response:
    """Post to the shop's part of the API."""
    return client.post(API + path, json=body)


def error_of(response: httpx.Response) -> dict[str, Any]:
    """What an answer says went wrong; fails if it is no error object."""
    (error,) = response.json().values()
    assert response.json() == {"error": error}
    assert error.keys() == {"code", "message", "details"}
    told: dict[str, Any] = error
    return told
