"""The group commit: what waits, what fails together, and what a stop leaves behind."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from app.domain import Change, Delivery, Kind, Verdict
from app.flows.connections.probes import probe
from app.flows.inbox.receive import Full, Intake
from app.flows.inbox.refused import RefusedDeliveries
from app.stores.inbox.inbox import Arrival
from app.stores.sql.engine import Database
from tests.fakes import SHOP, PlainReceiver, World
from tests.refusing import refusing
from tests.web.serving import inbox_ids


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def arrival(world: World, event_id: str) -> Arrival:
    return Arrival(SHOP, Delivery(event_id, "product.updated", [Change(Kind.PRODUCT, "A")]), {}, b"{}", world.clock())


def with_intake(world: World, work: Callable[[Intake], Awaitable[Any]], **options: int) -> Any:
    """Run ``work`` on an event loop with an intake that it may start."""
    intake = Intake(world.deps, **options)

    async def run() -> Any:
        return await work(intake)

    return asyncio.run(run())


def test_an_offer_is_done_when_it_is_committed(world: World, database: Database) -> None:
    async def work(intake: Intake) -> list[str]:
        intake.start()
        await intake.offer(arrival(world, "e1"))
        result = inbox_ids(database)
        intake.stop()
        return result

    assert with_intake(world, work) == ["e1"]


def test_offers_made_meanwhile_are_all_committed(world: World, database: Database) -> None:
    async def work(intake: Intake) -> None:
        intake.start()
        await asyncio.gather(*(intake.offer(arrival(world, f"e{n:04}")) for n in range(1500)))
        intake.stop()

    with_intake(world, work)
    assert inbox_ids(database) == [f"e{n:04}" for n in range(1500)]


def test_a_stop_commits_what_is_waiting(world: World, database: Database) -> None:
    async def work(intake: Intake) -> None:
        for n in range(1500):
            intake.offer(arrival(world, f"e{n:04}"))
        intake.start()
        intake.stop()

    with_intake(world, work)
    assert len(inbox_ids(database)) == 1500


def test_what_a_stop_commits_is_acknowledged(world: World) -> None:
    async def work(intake: Intake) -> list[None]:
        waiting = [intake.offer(arrival(world, f"e{n}")) for n in range(3)]
        intake.start()
        intake.stop()
        return await asyncio.gather(*waiting)

    assert with_intake(world, work) == [None] * 3


def test_a_full_buffer_takes_no_more(world: World) -> None:
    async def work(intake: Intake) -> None:
        intake.offer(arrival(world, "e1"))
        intake.offer(arrival(world, "e2"))
        with pytest.raises(Full):
            intake.offer(arrival(world, "e3"))

    with_intake(world, work, capacity=2)


def test_a_buffer_that_was_full_takes_more_once_it_is_written(world: World, database: Database) -> None:
    async def work(intake: Intake) -> None:
        waiting = [intake.offer(arrival(world, f"e{n}")) for n in range(2)]
        intake.start()
        await asyncio.gather(*waiting)
        await intake.offer(arrival(world, "e3"))
        intake.stop()

    with_intake(world, work, capacity=2)
    assert "e3" in inbox_ids(database)


def test_a_sender_that_stopped_waiting_breaks_no_others_commit(world: World) -> None:
    async def work(intake: Intake) -> None:
        gone, waiting = intake.offer(arrival(world, "e1")), intake.offer(arrival(world, "e2"))
        gone.cancel()
        intake.start()
        await waiting
        intake.stop()

    with_intake(world, work)


ENDLESS = random.Random(1).randbytes(6000).hex()
"""An id that no index of PostgreSQL can hold, not even compressed."""


def commit(world: World, *arrivals: Arrival) -> list[Any]:
    """Offer them as one group; what became of each."""

    async def work(intake: Intake) -> list[Any]:
        waiting = [intake.offer(one) for one in arrivals]
        intake.start()
        intake.stop()
        return await asyncio.gather(*waiting, return_exceptions=True)

    result: list[Any] = with_intake(world, work)
    return result


def test_an_endless_id_fails_no_neighbour(world: World) -> None:
    assert commit(world, arrival(world, "e1"), arrival(world, ENDLESS), arrival(world, "e3")) == [None] * 3


def test_a_delivery_that_cannot_be_written_refuses_no_neighbour(world: World, database: Database) -> None:
    with refusing(database, "INSERT", "inbox_events", "NEW.event_id = 'bad'"):
        told = commit(world, *(arrival(world, id) for id in ("e0", "e1", "e2", "e3", "e4", "bad", "e5")))
    assert [one is None for one in told] == [True] * 5 + [False, True]
    assert inbox_ids(database) == [f"e{n}" for n in range(6)]


class Surprised(PlainReceiver):
    """Meets what it was not written for."""

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        raise RecursionError("a body of brackets")


def test_a_strangers_body_that_breaks_the_parser_is_noted_as_refused(world: World, database: Database) -> None:
    world.source.receiver = Surprised()
    refused = RefusedDeliveries(world.deps)
    refused.add(SHOP, {}, b"[[[", world.clock(), "the word is wrong")
    refused.write(now=True)
    with database.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM refusals").scalar() == 1


def test_a_repeated_endless_id_is_a_duplicate(world: World, database: Database) -> None:
    commit(world, arrival(world, ENDLESS))
    commit(world, arrival(world, ENDLESS))
    assert len(inbox_ids(database)) == 1


def test_endless_ids_that_begin_alike_are_different(world: World, database: Database) -> None:
    commit(world, arrival(world, ENDLESS + "a"), arrival(world, ENDLESS + "b"))
    assert len(inbox_ids(database)) == 2


def test_an_item_with_an_endless_name_fails_no_delivery(world: World) -> None:
    odd = Arrival(SHOP, Delivery("e1", "t", [Change(Kind.PRODUCT, ENDLESS)]), {}, b"{}", world.clock())
    assert commit(world, odd) == [None]


@pytest.mark.parametrize(("set_aside", "probed"), [(None, 1), (Verdict.FOREIGN, 0)])
def test_a_delivery_that_says_our_access_has_ended_has_the_connection_checked(
    world: World, set_aside: Verdict | None, probed: int
) -> None:
    async def work(intake: Intake) -> None:
        intake.start()
        delivery = Delivery("e1", "access.revoked", ignored=set_aside is None, set_aside=set_aside, alarm=True)
        await intake.offer(Arrival(SHOP, delivery, {}, b"{}", world.clock()))
        intake.stop()

    with_intake(world, work)
    assert probe(world.deps) == probed
