"""What Tallyhook says of itself: overview and readiness."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import msgspec
import pytest

from app.domain import Cause, Change, Delivery, JsonObject, Kind
from app.errors import Unmappable
from app.flows.items.dead_letter import record_dead_letter
from app.flows.items.leases import LeaseKeeper
from app.flows.reports.status import ALIVE, Holdings, overview, readiness
from app.flows.runs.run import run as reconcile
from app.flows.upkeep.heartbeat import record_heartbeat
from app.stores import owed
from app.stores.guard import holds
from app.stores.inbox import inbox
from app.stores.inbox.inbox import Arrival
from app.stores.sql.engine import Database, open_database
from tests.asking import request_reconcile
from tests.fakes import SHOP, World, listing


@pytest.fixture
def world(database: Database) -> World:
    """A shop that can do its work: a worker and a clock have just given a sign of life."""
    world = World(database)
    record_heartbeat(replace(world.deps, worker="worker@here:1"), "worker")
    record_heartbeat(replace(world.deps, worker="clock@here:2"), "clock")
    return world


def shop_of(world: World) -> Holdings[str, JsonObject]:
    return overview(world.deps).connections[SHOP]


def load(world: World) -> None:
    world.source.put(listing("A"), listing("B"))
    reconcile(world.deps, LeaseKeeper(world.database), request_reconcile(world.deps, SHOP))


def owe(world: World, *external_ids: str) -> None:
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, item) for item in external_ids], Cause.POLL, world.clock())


# --- overview ---


def test_an_empty_installation_has_an_overview(world: World) -> None:
    assert overview(world.deps).connections.keys() == {SHOP}


def test_an_overview_can_be_written_as_json(world: World) -> None:
    load(world)
    assert msgspec.json.decode(msgspec.json.encode(overview(world.deps)))["connections"][SHOP]["owed"] == 0


def test_live_rows_are_counted_by_kind(world: World) -> None:
    load(world)
    assert shop_of(world).rows[Kind.PRODUCT] == 2


def test_tombstones_are_not_counted_as_rows(world: World) -> None:
    load(world)
    del world.source.listings["A"]
    world.clock.pass_(60)
    reconcile(world.deps, LeaseKeeper(world.database), request_reconcile(world.deps, SHOP))
    assert shop_of(world).rows[Kind.PRODUCT] == 1


def test_owed_items_are_counted(world: World) -> None:
    owe(world, "A", "B")
    assert shop_of(world).owed == 2


def test_the_last_event_is_shown(world: World) -> None:
    with world.database.begin() as conn:
        inbox.accept(conn, [Arrival(SHOP, Delivery("e1", "t"), {}, b"{}", world.clock())])
    assert shop_of(world).last_event == world.clock().isoformat()


def test_the_last_run_is_shown(world: World) -> None:
    load(world)
    last_run = shop_of(world).last_run
    assert last_run is not None
    assert last_run["status"] == "completed"


def test_a_runs_token_is_not_shown(world: World) -> None:
    load(world)
    assert "token" not in (shop_of(world).last_run or ["token"])


def test_a_connection_without_a_receiver_says_so(world: World) -> None:
    world.source.receiver = None
    assert shop_of(world).webhooks is False


def test_dead_letters_are_counted(world: World) -> None:
    args = (SHOP, "product", "A")
    record_dead_letter(world.deps, message_id="m", actor="sync_item", queue="live", args=args, error=Unmappable("no"))
    assert overview(world.deps).dead_letters == 1


def test_open_holds_are_counted(world: World) -> None:
    with world.database.begin() as conn:
        holds.hold(conn, connection=SHOP, kind=Kind.PRODUCT, run_id=None, reason="odd", summary={}, now=world.clock())
    assert overview(world.deps).holds == 1


# --- readiness ---


def test_an_installation_with_worker_and_clock_is_ready(world: World) -> None:
    assert readiness(world.deps).ready


def silence(world: World) -> None:
    world.clock.pass_(ALIVE.total_seconds() + 1)


def lose_the_queue(world: World) -> None:
    world.queue.depth = lambda: -1  # type: ignore[method-assign]


def lose_the_clock(world: World) -> None:
    with world.database.begin() as conn:
        conn.exec_driver_sql("DELETE FROM beats WHERE role = 'clock'")


@pytest.mark.parametrize("harm", [silence, lose_the_queue, lose_the_clock])
def test_an_installation_that_lacks_a_part_is_not_ready(world: World, harm: Callable[[World], None]) -> None:
    harm(world)
    assert not readiness(world.deps).ready


def test_a_broken_database_is_not_ready(empty_url: str) -> None:
    with closing(open_database(empty_url)) as empty:
        assert not readiness(World(empty).deps).ready


def test_an_unreachable_database_is_reported_and_not_raised() -> None:
    with closing(open_database("postgresql://nobody@127.0.0.1:1/none")) as nowhere:
        assert readiness(World(nowhere).deps).database is False


def test_the_age_of_the_oldest_owed_item_is_shown(world: World) -> None:
    owe(world, "A")
    world.clock.pass_(20)
    assert readiness(world.deps).oldest_owed_seconds == 20.0


def test_nothing_owed_has_no_age(world: World) -> None:
    assert readiness(world.deps).oldest_owed_seconds is None
