"""The simulated account's bridge tells of every change, signed, again when it fails, and as badly as it is told to."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.finale.webhook import BridgeReceiver
from tests.sources.finale.finale_account import Account
from tests.sources.simulated import Servers

Simulate = Callable[..., Account]


class Receiver:
    """A web server that checks and counts pings."""

    def __init__(self, servers: Servers, secret: str, failures: int = 0) -> None:
        self.bodies: list[str] = []
        self.ids: list[str] = []
        self.failures = failures
        self._receiver = BridgeReceiver([secret])
        self._lock = threading.Lock()
        self.url = servers.start(Starlette(routes=[Route("/hook", self.take, methods=["POST"])])) + "/hook"

    async def take(self, request: Request) -> Response:
        body = await request.body()
        self._receiver.verify(dict(request.headers), body, datetime.now(UTC))
        with self._lock:
            if self.failures:
                self.failures -= 1
                return Response(status_code=503)
            delivery = self._receiver.parse(dict(request.headers), body)
            self.ids.append(delivery.event_id)
            self.bodies.append(body.decode())
        return Response(status_code=202)


def bridged(servers: Servers, simulate: Simulate, *, failures: int = 0, **options: Any) -> tuple[Account, Receiver]:
    secret = "whsec_c2ltdWxhdGVkLWJyaWRnZS1zZWNyZXQ="
    receiver = Receiver(servers, secret, failures)
    return simulate(bridge_url=receiver.url, bridge_secret=secret, **options), receiver


def is_quiet(status: dict[str, Any]) -> bool:
    return bool(status["webhooks"]["pending"] == 0)


def test_each_change_of_a_product_is_reported(servers: Servers, simulate: Simulate) -> None:
    account, receiver = bridged(servers, simulate)
    done = [each for each in account.change(5, "product") if each["kind"] == "product"]
    account.wait_for(is_quiet)
    assert len([body for body in receiver.bodies if "product." in body]) == len(done)


def test_a_ping_that_fails_is_sent_again_with_its_id(servers: Servers, simulate: Simulate) -> None:
    account, receiver = bridged(servers, simulate, failures=1)
    account.change(1, "product")
    status = account.wait_for(is_quiet)
    assert status["webhooks"]["sent"] == len(receiver.ids) + 1


def test_pings_can_be_dropped(servers: Servers, simulate: Simulate) -> None:
    account, receiver = bridged(servers, simulate, drop=1.0)
    account.change(5, "product")
    assert account.wait_for(is_quiet)["webhooks"]["dropped"] >= 5
    assert receiver.ids == []


def test_pings_can_be_duplicated(servers: Servers, simulate: Simulate) -> None:
    account, receiver = bridged(servers, simulate, duplicate=1.0)
    account.change(3, "product")
    account.wait_for(is_quiet)
    assert len(receiver.ids) == 2 * len(set(receiver.ids))


def test_pings_can_overtake_each_other(servers: Servers, simulate: Simulate) -> None:
    account, _ = bridged(servers, simulate, reorder=1.0)
    account.change(1, "product")
    assert account.status()["webhooks"]["pending"] > 0


def test_pings_can_be_delayed(servers: Servers, simulate: Simulate) -> None:
    account, receiver = bridged(servers, simulate, delay=1.0, delay_seconds=60)
    account.change(1, "product")
    assert (account.status()["webhooks"]["delayed"] > 0, receiver.ids) == (True, [])


def test_a_ping_that_is_acknowledged_is_shown_by_its_id(servers: Servers, simulate: Simulate) -> None:
    account, receiver = bridged(servers, simulate, failures=2)
    account.change(3, "product")
    account.wait_for(is_quiet)
    answer = set(account.control.get("/_sim/acknowledged").json())
    assert answer == set(receiver.ids)
