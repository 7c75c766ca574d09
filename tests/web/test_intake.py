"""The group commit: what waits, what fails together, and what a stop leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message, Scope

from app.domain import Change, Delivery, Kind
from app.flows.receive import Full, Intake
from app.stores.engine import Database
from app.stores.inbox import Arrival
from app.web.webhooks import Limits, Webhooks
from tests.fakes import SHOP, World
from tests.web.serving import body_of, inbox_ids


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
        found = inbox_ids(database)
        intake.stop()
        return found

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


# --- as the endpoint answers it ---


async def post(app: Webhooks, body: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of the endpoint's answer."""
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": f"/webhooks/{SHOP}",
        "path_params": {"connection": SHOP},
        "headers": [(b"x-word", b"friend")],
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return int(sent[0]["status"]), headers


def test_a_full_buffer_is_answered_503_with_a_time_to_come_back(world: World) -> None:
    async def work(intake: Intake) -> tuple[int, bool]:
        app = Webhooks(world.deps, intake, Limits())
        first = asyncio.create_task(post(app, body_of("e1")))
        await asyncio.sleep(0)
        status, headers = await post(app, body_of("e2"))
        first.cancel()
        return status, "retry-after" in headers

    assert with_intake(world, work, capacity=1) == (503, True)
