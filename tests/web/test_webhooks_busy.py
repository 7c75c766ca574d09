"""The endpoint when more comes in than can be written: it says so at once, and when to come back."""

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest
from starlette.types import Message, Scope

from app.flows.inbox.receive import Intake
from app.stores.sql.engine import Database, open_database
from app.web.webhooks import Limits, Webhooks
from tests.fakes import SHOP, World
from tests.web.serving import body_of, inbox_ids


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    with closing(open_database(sqlite_url)) as opened:
        yield opened


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


def answers(database: Database) -> list[tuple[int, dict[str, str]]]:
    """Three deliveries to an endpoint with room for two; its writer starts only when the third is answered."""

    async def run() -> list[tuple[int, dict[str, str]]]:
        world = World(database)
        intake = Intake(world.deps, capacity=2)
        app = Webhooks(world.deps, intake, Limits())
        waiting = [asyncio.create_task(post(app, body_of(event_id))) for event_id in ("e1", "e2")]
        await asyncio.sleep(0)
        refused = await post(app, body_of("e3"))
        intake.start()
        intake.stop()
        return [*[await one for one in waiting], refused]

    return asyncio.run(run())


def test_a_full_buffer_is_answered_503(sqlite: Database) -> None:
    assert answers(sqlite)[2][0] == 503


def test_a_full_buffer_says_when_to_come_back(sqlite: Database) -> None:
    assert int(answers(sqlite)[2][1]["retry-after"]) > 0


def test_what_found_the_buffer_full_is_not_stored(sqlite: Database) -> None:
    answers(sqlite)
    assert inbox_ids(sqlite) == ["e1", "e2"]


def test_what_waited_in_the_full_buffer_is_accepted(sqlite: Database) -> None:
    assert [status for status, _ in answers(sqlite)[:2]] == [202, 202]
