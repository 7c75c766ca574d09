"""The receiver: verified and committed before the answer, against a bare POST and a session per request.

``python -m tests.bench.receiver [--events 60000] [--in-flight 64]``
"""

import argparse
import base64
import gc
import hashlib
import hmac
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.bench import servers
from tests.bench.load import Figures, closed_loop, request

KEY = "bench-signature-key"
PATH = "/webhooks/square"
PUBLIC = "https://hooks.example.com"
ROUNDS = 3


def wire(count: int, items: int) -> list[bytes]:
    """Signed Square inventory events as they go over the wire, each with its own id."""
    return [_event(f"VARIATION{number % items:06d}") for number in range(count)]


def _event(variation: str) -> bytes:
    counts = [
        {
            "calculated_at": "2026-11-22T12:00:00.123Z",
            "catalog_object_id": variation,
            "catalog_object_type": "ITEM_VARIATION",
            "location_id": f"LOCATION{place}",
            "quantity": "10",
            "state": "IN_STOCK",
        }
        for place in range(3)
    ]
    body = msgspec.json.encode(
        {
            "merchant_id": "BENCHMERCHANT",
            "type": "inventory.count.updated",
            "event_id": str(uuid.uuid4()),
            "created_at": "2026-11-22T12:00:00.455006797Z",
            "data": {"type": "inventory_counts", "id": str(uuid.uuid4()), "object": {"inventory_counts": counts}},
        }
    )
    digest = hmac.digest(KEY.encode(), f"{PUBLIC}{PATH}".encode() + body, hashlib.sha256)
    headers = {
        "content-type": "application/json",
        "user-agent": "Square Connect v2",
        "square-environment": "Production",
        "x-square-hmacsha256-signature": base64.b64encode(digest).decode(),
    }
    return request(PATH, body, headers)


def bare() -> Starlette:
    """The floor: read the body, answer 202."""

    async def receive(request: Request) -> Response:
        await request.body()
        return Response(status_code=202)

    return Starlette(routes=[Route("/webhooks/{connection}", receive, methods=["POST"])])


def session_per_request() -> Starlette:
    """The obvious design: verify, parse, a SQLModel session in the thread pool, then ``actor.send``."""
    import dramatiq
    import pydantic
    from sqlmodel import Session

    from app import config
    from app.channels.queue import redis_broker
    from app.flows.deps import utc_now
    from app.stores.sql.engine import open_database
    from app.stores.tables import InboxEvent

    class Event(pydantic.BaseModel):
        event_id: str
        type: str
        data: dict[str, object]

    settings = config.load()
    database = open_database(settings.database(), durable=True)
    broker = redis_broker(settings.redis() or "")

    @dramatiq.actor(broker=broker, queue_name="bench")
    def sync(connection: str, event_id: str) -> None:
        """Never run here."""

    def store(headers: str, body: bytes, event: Event) -> None:
        row = InboxEvent(
            connection="square",
            event_id=event.event_id,
            type=event.type,
            received_at=utc_now(),
            verdict="accepted",
            items="[]",
            headers=headers,
            body=body,
        )
        with database.begin() as conn, Session(conn) as session:
            session.add(row)
            session.flush()
        sync.send("square", event.event_id)

    async def receive(request: Request) -> Response:
        body = await request.body()
        digest = base64.b64encode(hmac.digest(KEY.encode(), f"{PUBLIC}{PATH}".encode() + body, hashlib.sha256))
        if not hmac.compare_digest(digest, request.headers["x-square-hmacsha256-signature"].encode()):
            return Response(status_code=401)
        headers = msgspec.json.encode(dict(request.headers)).decode()
        await run_in_threadpool(store, headers, body, Event.model_validate_json(body))
        return Response(status_code=202)

    return Starlette(routes=[Route("/webhooks/{connection}", receive, methods=["POST"])])


VARIANTS = {"bare": bare, "session": session_per_request}


def serve(variant: str, port: int) -> None:
    """One server process."""
    uvicorn.run(VARIANTS[variant](), host="127.0.0.1", port=port, access_log=False, log_level="warning")


def measure(variant: str, kind: str, events: int, in_flight: int) -> Figures:
    """Start the server on a fresh database and send the events; the median round by rate."""
    with servers.scratch() as folder, servers.database_url(kind, folder) as url, servers.valkey_url(folder) as queue:
        port = servers.free_port()
        env = {
            "TALLYHOOK_DATABASE_URL": url,
            "TALLYHOOK_REDIS_URL": queue,
            "TALLYHOOK_PORT": str(port),
            "TALLYHOOK_PUBLIC_URL": PUBLIC,
            "TALLYHOOK_CONNECTIONS__SQUARE__ACCESS_TOKEN": "bench",
            "TALLYHOOK_CONNECTIONS__SQUARE__WEBHOOK_KEYS": KEY,
        }
        with servers.process("app.cli", "migrate", env=env) as migration:
            migration.wait()
        with started(variant, env):
            return timed(port, events, in_flight)


@contextmanager
def started(variant: str, env: dict[str, str]) -> Iterator[None]:
    """The server of a variant, at the port that ``env`` names."""
    port = env["TALLYHOOK_PORT"]
    module = ("app.web",) if variant == "tallyhook" else ("tests.bench.receiver", "--serve", variant, port)
    with servers.process(*module, env=env, port=int(port)):
        yield


def timed(port: int, events: int, in_flight: int) -> Figures:
    """The median round by rate. Raises ``RuntimeError`` if an event is not taken."""
    closed_loop(port, wire(min(2_000, events), 500), in_flight)  # warm
    rounds = []
    for _ in range(ROUNDS):
        load = wire(events, 500)
        gc.collect()
        gc.disable()
        rounds.append(closed_loop(port, load, in_flight))
        gc.enable()
    if any(set(figures.statuses) != {202} for figures in rounds):
        raise RuntimeError(f"not every event was taken: {[figures.statuses for figures in rounds]}")
    return Figures(
        median(figures.rate for figures in rounds),
        median(figures.p50 for figures in rounds),
        median(figures.p99 for figures in rounds),
        rounds[0].statuses,
    )


def main() -> None:
    """Print every variant, and the ratios to both baselines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", nargs=2, metavar=("VARIANT", "PORT"))
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--in-flight", type=int, default=64)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve[0], int(chosen.serve[1]))
        return
    print(f"receiver, 1 web process, {chosen.in_flight} in flight, median of {ROUNDS}; {servers.machine()}")
    print(f"{'':34}{'events/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'of bare':>9}{'x session':>11}")
    floor = measure("bare", "sqlite", chosen.events, chosen.in_flight)
    print(f"{'bare Starlette POST':34}{floor.rate:10,.0f}{floor.p50:9.1f}{floor.p99:9.1f}")
    for kind in ("sqlite", "postgresql"):
        plain = measure("session", kind, max(2_000, chosen.events // 20), chosen.in_flight)
        print(f"{'session per request, ' + kind:34}{plain.rate:10,.0f}{plain.p50:9.1f}{plain.p99:9.1f}")
        ours = measure("tallyhook", kind, chosen.events, chosen.in_flight)
        ratios = f"{ours.rate / floor.rate:9.2f}{ours.rate / plain.rate:11.1f}"
        print(f"{'Tallyhook, ' + kind:34}{ours.rate:10,.0f}{ours.p50:9.1f}{ours.p99:9.1f}{ratios}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
