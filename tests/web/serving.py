"""The web application behind a real server on a free port of this machine, and deliveries to it."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import uvicorn

from app.flows.deps import Deps
from app.stores.sql.engine import Database
from app.web.app import create_app
from app.web.auth import AuthSettings
from app.web.heavy import HeavyLimits
from app.web.protocol import LimitedProtocol
from app.web.webhooks import Limits
from tests.fakes import SHOP

FRIEND = {"x-word": "friend"}
"""The header that the fake shop signs with."""

HEAD = f"POST /webhooks/{SHOP} HTTP/1.1\r\nHost: here\r\nx-word: friend\r\n".encode()
"""The beginning of a delivery written by hand."""


@contextmanager
def serving(
    deps: Deps,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    doors: AuthSettings | None = None,
    heavy: HeavyLimits = HeavyLimits(),  # noqa: B008 - a frozen value
    protocol: type[LimitedProtocol] = LimitedProtocol,
) -> Iterator[httpx.Client]:
    """A client of the application, which runs with its lifespan in a thread of its own."""
    config = uvicorn.Config(
        create_app(deps, limits, doors, heavy),
        host="127.0.0.1",
        port=0,
        lifespan="on",
        http=protocol,
        ws="none",
        proxy_headers=False,
        log_level="warning",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    waiting = threading.Event()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        waiting.wait(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
    assert not thread.is_alive(), "the server did not stop"


def body_of(event_id: str = "e1", *items: str, type_: str = "product.updated") -> bytes:
    """A delivery of the fake shop about these products."""
    return msgspec.json.encode({"id": event_id, "type": type_, "items": [["product", item] for item in items]})


def deliver(
    client: httpx.Client, body: bytes, *, to: str = SHOP, headers: Mapping[str, str] = FRIEND
) -> httpx.Response:
    """Post one delivery."""
    return client.post(f"/webhooks/{to}", content=body, headers=dict(headers))


def dial(client: httpx.Client) -> socket.socket:
    """A bare connection to the same server, for deliveries that no library would send."""
    return socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=60)


def status_of(line: socket.socket) -> int:
    """The status code of the answer that comes next."""
    answer = b""
    while b"\r\n" not in answer:
        more = line.recv(4096)
        assert more, f"closed after {answer!r}"
        answer += more
    return int(answer.split()[1])


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    """What a query gives, on a connection that sees only what is committed."""
    with database.read() as conn:
        return [tuple(row) for row in conn.exec_driver_sql(query)]


def inbox_ids(database: Database) -> list[str]:
    """The event ids in the inbox, in order."""
    return [event_id for (event_id,) in rows(database, "SELECT event_id FROM inbox_events ORDER BY event_id")]
