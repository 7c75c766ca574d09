"""A receiver of webhooks for tests: answers as it is told and remembers what came."""

import threading
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.domain import Delivery
from app.sources.square.webhook import SquareReceiver
from tests.sources.simulated import Servers

KEY = "simulated-signature-key"


class Hook:
    """A receiver of webhooks that answers as it is told and remembers what came."""

    def __init__(
        self, servers: Servers, answer: Callable[[int], Response] = lambda number: Response(status_code=202)
    ):
        self.came: list[tuple[dict[str, str], bytes]] = []
        self._answer = answer
        self._lock = threading.Lock()
        app = Starlette(routes=[Route("/webhooks/square", self._take, methods=["POST"])])
        self.url = servers.start(app) + "/webhooks/square"

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        with self._lock:
            self.came.append((dict(request.headers), body))
            return self._answer(len(self.came))

    def deliveries(self) -> list[Delivery]:
        """What came, as our receiver reads it."""
        return [SquareReceiver(self.url, [KEY]).parse(headers, body) for headers, body in self.came]


def acked(count: int) -> Callable[[dict[str, Any]], bool]:
    """Whether so many deliveries were acknowledged and none is on its way."""
    return lambda status: status["webhooks"]["acked"] >= count and status["webhooks"]["pending"] == 0
