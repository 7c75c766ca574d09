"""Questions that read much hold up nobody else: few run at once, each ends by its deadline or with its client."""

import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import msgspec
import pytest

from app.domain import Kind, Role
from app.flows.access import accounts
from app.stores.runs import drift
from app.stores.runs.drift import DriftRow
from app.stores.sql.engine import Database
from app.web.api.operations import OPERATIONS
from app.web.auth import AuthSettings
from app.web.heavy import HeavyLimits
from tests.endless import endless
from tests.fakes import EPOCH, SHOP, World
from tests.stack import eventually
from tests.web.serving import body_of, deliver, dial, serving

pytestmark = pytest.mark.journey  # it waits more than it works, so it comes first
PASSWORD = "correct horse battery"
MANY = 40
LIMITS = HeavyLimits(wait=30.0, seconds=3_600.0)
"""Nothing ends by its deadline."""


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    """A shop whose differences take a minute to read."""
    world = World(database)
    accounts.add_user(world.deps, "ann", PASSWORD, Role.VIEWER)
    with database.begin() as conn:
        drift.write(conn, None, SHOP, [DriftRow(Kind.PRODUCT, "A", "differs")], now=EPOCH)
    with endless(database, "drift"):
        yield world


def viewer(world: World, name: str = "eve") -> dict[str, str]:
    """The header of a viewer's token."""
    return {"authorization": f"Bearer {accounts.create_token(world.deps, name, Role.VIEWER)[1]}"}


def fire(client: httpx.Client, header: dict[str, str]) -> socket.socket:
    """Ask for all differences, and wait for no answer."""
    line = dial(client)
    asked = f"GET /api/sync-{SHOP}/drift HTTP/1.1\r\nHost: here\r\nauthorization: {header['authorization']}\r\n\r\n"
    line.sendall(asked.encode())
    return line


@contextmanager
def flooded(client: httpx.Client, header: dict[str, str]) -> Iterator[list[bytes]]:
    """A viewer has asked for the differences many times and gets no answer but refusals, which are given; at the end
    the viewer hangs up."""
    with ExitStack() as lines:
        waiting = {lines.enter_context(fire(client, header)) for _ in range(MANY)}
        yield [refusal(waiting) for _ in range(MANY - LIMITS.waiting_with_them)]


def refusal(waiting: set[socket.socket]) -> bytes:
    """The next answer on any of these lines."""
    with selectors.DefaultSelector() as ready:
        for line in waiting:
            ready.register(line, selectors.EVENT_READ)
        found = ready.select(30)
        assert found, "nobody is refused"
        refused = found[0][0].fileobj
    assert isinstance(refused, socket.socket)
    waiting.remove(refused)
    answer = b""
    while not answer.endswith(b"}}"):  # the head may come before the rest
        more = refused.recv(65_536)
        assert more, f"closed after {answer!r}"
        answer += more
    return answer


def test_signing_in_readiness_and_webhooks_are_answered_beside_a_flood_of_heavy_questions(world: World) -> None:
    with serving(world.deps, doors=AuthSettings(), heavy=LIMITS) as client, flooded(client, viewer(world)):
        ready = client.get("/readyz", timeout=20)
        signed_in = client.post("/login", data={"name": "ann", "password": PASSWORD}, timeout=20)
        delivered = deliver(client, body_of("e1", "A"))
    assert ("ready" in ready.json(), signed_in.status_code, delivered.status_code) == (True, 303, 202)


def test_light_pages_are_answered_beside_a_flood_of_heavy_questions(world: World) -> None:
    header = viewer(world)
    with serving(world.deps, doors=AuthSettings(), heavy=LIMITS) as client, flooded(client, header):
        assert client.get(f"/api/sync-{SHOP}/schedule", headers=header, timeout=20).status_code == 200


def test_who_asks_too_much_at_once_is_told_when_to_come_back(world: World) -> None:
    with (
        serving(world.deps, doors=AuthSettings(), heavy=LIMITS) as client,
        flooded(client, viewer(world)) as refusals,
    ):
        told = {answer.partition(b" ")[2][:3] for answer in refusals}
        assert told == {b"503"}
        assert b"retry-after: 5" in refusals[0]
        assert b"questions of yours that read much are being answered or wait" in refusals[0]


def test_one_callers_heavy_questions_leave_a_turn_to_the_others(world: World) -> None:
    with serving(world.deps, doors=AuthSettings(), heavy=LIMITS) as client, flooded(client, viewer(world)):
        assert client.get("/api/inbox", headers=viewer(world, "ben")).status_code == 200


def test_heavy_questions_end_when_their_client_hangs_up(world: World) -> None:
    header = viewer(world)
    with serving(world.deps, doors=AuthSettings(), heavy=LIMITS) as client:
        with flooded(client, header):
            pass
        assert eventually(lambda: client.get("/api/inbox", headers=header).status_code == 200, within=30)


def test_who_waits_too_long_for_a_turn_is_told_when_to_come_back(world: World) -> None:
    limits = HeavyLimits(of_one_caller=1, wait=0.1, seconds=3_600.0)
    header = viewer(world)
    with (
        serving(world.deps, doors=AuthSettings(), heavy=limits) as client,
        fire(client, header),
        fire(client, header) as line,
    ):
        assert line.recv(65_536).partition(b" ")[2][:3] == b"503"


def test_a_heavy_question_that_takes_too_long_is_to_be_narrowed(world: World) -> None:
    with serving(world.deps, heavy=HeavyLimits(seconds=0.2)) as client:
        answer = client.get(f"/api/sync-{SHOP}/drift")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "takes_too_long")
    assert "narrow it" in answer.json()["error"]["message"]


def test_a_heavy_question_that_takes_too_long_is_no_outage(world: World) -> None:
    with serving(world.deps, heavy=HeavyLimits(seconds=0.2)) as client:
        client.get(f"/api/sync-{SHOP}/drift")
    assert world.database.trouble() is None


def test_every_operation_with_a_filter_waits_for_a_turn() -> None:
    filtered = [one for one in OPERATIONS if "filter" in {field.name for field in msgspec.structs.fields(one.params)}]
    assert len(filtered) > 4
    assert [one.url for one in filtered if not one.heavy] == []
