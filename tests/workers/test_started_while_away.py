"""Processes that are started while the database is away wait for it, live through its next absence, and say so once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import Unavailable
from app.local.embedded import await_port, free_port
from app.prove.real.databases import ProvingDatabase, postgresql
from tests.stack import Stack, eventually

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]

PROCESSES = {"web": ["app.web"], "worker": ["workers", "worker", "--threads", "4"], "clock": ["workers", "clock"]}


@pytest.fixture
def server() -> Iterator[ProvingDatabase]:
    with postgresql() as made:
        yield made


@pytest.fixture
def stack(server: ProvingDatabase, valkey: str, tmp_path: Path) -> Iterator[Stack]:
    port = free_port(0)
    made = Stack(
        tmp_path,
        {
            "TALLYHOOK_DATABASE_URL": server.url,
            "TALLYHOOK_REDIS_URL": valkey,
            "TALLYHOOK_PORT": str(port),
            "TALLYHOOK_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "TALLYHOOK_AUTH": "off",
        },
    )
    yield made
    made.stop()


def ready(stack: Stack) -> dict[str, Any]:
    """What it says about its readiness, ``status`` included."""
    try:
        answer = httpx.get(f"{stack.web}/readyz", timeout=60)
    except httpx.HTTPError:
        return {"status": 0}
    return {**answer.json(), "status": answer.status_code}


def becomes(stack: Stack, status: int) -> bool:
    return bool(eventually(lambda: ready(stack)["status"] == status, within=120))


def test_processes_wait_for_the_database_and_live_through_its_next_absence(
    server: ProvingDatabase, stack: Stack
) -> None:
    with server.harms["database restarted"]():
        for name, command in PROCESSES.items():
            stack.start(name, *command)
        if not await_port(int(stack.environment["TALLYHOOK_PORT"]), 120):
            raise Unavailable(stack.logs())
        assert httpx.get(f"{stack.web}/healthz", timeout=60).status_code == 200
        assert ready(stack)["database"] is False
    assert becomes(stack, 200), stack.logs()
    with server.harms["database restarted"]():
        assert becomes(stack, 503), stack.logs()
    assert becomes(stack, 200), stack.logs()
    assert [stack.process(name).poll() for name in PROCESSES] == [None, None, None], stack.logs()
    written = {name: (stack.folder / f"{name}.log").read_text() for name in PROCESSES}
    assert {name: text.count("Traceback") for name, text in written.items()} == dict.fromkeys(PROCESSES, 0)
    lost = {name: text.count("database_lost") for name, text in written.items()}
    assert all(1 <= count <= 3 for count in lost.values()), (lost, stack.logs())
