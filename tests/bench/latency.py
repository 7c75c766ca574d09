"""From the acknowledgement of a webhook to the commit of its row, at a steady rate and with a vendor of 20 ms.

``python -m tests.bench.latency [--database sqlite|postgresql] [--rate 100] [--seconds 30]``

The events are notices of distinct products whose SKU we hold, so each costs exactly one call to the vendor and writes
one row. Nobody watches while they pass: every settlement says when its delivery was received and when it was settled,
the latter being the last thing before its commit, and the load generator notes each answer by the same clock.
"""

import argparse
import asyncio
import gc
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

import msgspec
import uvloop

from app.domain import Kind
from app.stores import catalog
from app.stores.catalog import watermarks
from app.stores.sql.columns import moment_from
from tests.bench import installation, servers, upstream
from tests.bench.floor import Fetcher, Rows
from tests.bench.installation import ACCOUNT, BEARER, DATABASES, Installation, installed
from tests.bench.load import request

WARM_SECONDS = 4
IN_FLIGHT = 64
FLOOR_ROUNDS = 300
SETTLED_WITHIN = 150  # seconds: a hiccup that gathers 60 products counts as a storm, which puts them off for a minute
FINALE = "finale"
DRAMATIQ_DEFAULTS = ("tests.bench.latency", "--default-worker")


@dataclass(frozen=True)
class Waits:
    """Milliseconds per event: from its receipt to its settlement, and from our 202 to its settlement."""

    received: list[float]
    answered: list[float]
    calls: float


def main() -> None:
    """Print floor, ours and Dramatiq's defaults for each database."""
    chosen = _options()
    if chosen.default_worker:
        _default_worker()
        return
    print(f"latency at {chosen.rate:g} events/s (Poisson) for {chosen.seconds:g} s; {servers.machine()}")
    print(
        f"vendor {installation.UPSTREAM_MS} ms, {installation.WORKERS} worker processes of 16 threads; milliseconds"
    )
    for kind in [chosen.database] if chosen.database else DATABASES:
        _bench(kind, chosen.rate, chosen.seconds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--default-worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _bench(kind: str, rate: float, seconds: float) -> None:
    with installed(kind) as place:
        place.web()
        with place.workers():
            ours = measure(place, "A", rate, seconds)
        with place.workers(*DRAMATIQ_DEFAULTS):
            defaults = measure(place, "B", rate, seconds)
        floor, commits = _floor(place)
    print(f"\n{kind}, load average {os.getloadavg()[0]:.1f}")
    print(f"{'':44}{'p50':>7}{'p90':>7}{'p99':>7}{'max':>7}{'x floor':>9}{'calls':>7}")
    _line("floor: GET and one INSERT, one thread", floor, floor, 1.0)
    _line("Tallyhook, from our 202 to the row", ours.answered, floor, ours.calls)
    _line("Tallyhook, from receipt to the row", ours.received, floor, ours.calls)
    _line("with Dramatiq's worker defaults, from our 202", defaults.answered, floor, defaults.calls)
    print(
        f"not in ours: the commit itself, {at(commits, 0.5):.1f} ms (p99 {at(commits, 0.99):.1f}) when measured alone"
    )
    sys.stdout.flush()


def _line(name: str, waits: Sequence[float], floor: Sequence[float], calls: float) -> None:
    shares = "".join(f"{at(waits, share):7.1f}" for share in (0.5, 0.9, 0.99, 1.0))
    print(f"{name:44}{shares}{median(waits) / median(floor):9.2f}{calls:7.2f}")


def at(waits: Sequence[float], share: float) -> float:
    """The value below which this share of them lies."""
    return sorted(waits)[min(len(waits) - 1, int(len(waits) * share))]


# --- ours ---


def measure(place: Installation, label: str, rate: float, seconds: float) -> Waits:
    """Warm up, send at a rate (a second) for some seconds, wait until all is settled, and only then ask the database."""
    warm = [f"{label}w{number}" for number in range(int(rate * WARM_SECONDS))]
    ids = [f"{label}m{number}" for number in range(int(rate * seconds))]
    seed(place, [*warm, *ids])
    _send(place, warm, rate)
    place.await_settled(SETTLED_WITHIN, FINALE)
    calls = place.calls()
    answered = _send(place, ids, rate)
    place.await_settled(SETTLED_WITHIN, FINALE)
    return _waits(place, f"{label}m", answered, (place.calls() - calls) / len(ids))


def seed(place: Installation, ids: Sequence[str]) -> None:
    """Hold the products already, so that a notice's SKU leads to a record at once; they were read yesterday."""
    long_ago = datetime.now(UTC) - timedelta(days=1)
    with place.database.begin() as conn:
        watermarks.put(conn, FINALE, Kind.PRODUCT, long_ago.strftime("%Y-%m-%dT%H:%M:%S"), long_ago)
        catalog.apply(conn, FINALE, [upstream.held(id_) for id_ in ids], read_at=long_ago, now=long_ago)


def _send(place: Installation, ids: Sequence[str], rate: float) -> dict[str, float]:
    gc.collect()
    gc.disable()
    try:
        return uvloop.run(_poisson(place.port, ids, rate))
    finally:
        gc.enable()


async def _poisson(port: int, ids: Sequence[str], rate: float) -> dict[str, float]:
    """Send each at its time, whether or not the one before was answered; the epoch second of each answer."""
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(IN_FLIGHT):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    answered: dict[str, float] = {}

    async def one(id_: str, due: float) -> None:
        await asyncio.sleep(due - time.perf_counter())
        reader, writer = await free.get()
        writer.write(notice(id_))
        head = await reader.readuntil(b"\r\n\r\n")
        answered[id_] = time.time()
        free.put_nowait((reader, writer))
        if not head.startswith(b"HTTP/1.1 202"):
            raise RuntimeError(f"not accepted: {head!r}")

    async with asyncio.TaskGroup() as group:
        for id_, due in zip(ids, _arrivals(rate), strict=False):
            group.create_task(one(id_, due))
    while not free.empty():
        free.get_nowait()[1].close()
    return answered


def _arrivals(rate: float) -> Iterator[float]:
    due = time.perf_counter() + 0.2
    dice = random.Random(7)
    while True:
        due += dice.expovariate(rate)
        yield due


def notice(id_: str) -> bytes:
    """A delivery about a product that was seeded."""
    body = msgspec.json.encode({"event": "product.updated", "data": {"productId": f"SKU-{id_}"}})
    headers = {"content-type": "application/json", "authorization": f"Bearer {BEARER}", "webhook-id": id_}
    return request("/webhooks/finale", body, headers)


def _waits(place: Installation, prefix: str, answered: dict[str, float], calls: float) -> Waits:
    found = place.rows(
        "SELECT external_id, first_seen_at, settled_at FROM settlements"
        " WHERE external_id LIKE :those AND outcome = 'applied' AND attempts = 0",
        those=f"sku:SKU-{prefix}%",
    )
    if len(found) != len(answered):
        raise RuntimeError(f"{len(found)} of {len(answered)} events were applied at once")
    received, from_answer = [], []
    for external_id, seen_at, settled_at in found:
        seen, settled = moment_from(seen_at), moment_from(settled_at)
        assert seen is not None
        assert settled is not None
        received.append((settled - seen).total_seconds() * 1000)
        from_answer.append((settled.timestamp() - answered[external_id.removeprefix("sku:SKU-")]) * 1000)
    return Waits(received, from_answer, calls)


# --- baselines ---


def _floor(place: Installation) -> tuple[list[float], list[float]]:
    """Milliseconds of GET and write, and of the write with its commit alone."""
    rows, vendor = Rows(place.database.url), Fetcher(place.upstream)
    rows.create()
    whole, commits = [], []
    for number in range(FLOOR_ROUNDS):
        began = time.perf_counter()
        body = vendor.get(f"/{ACCOUNT}/api/product/F{number}")
        fetched = time.perf_counter()
        rows.put(f"F{number}", body)
        done = time.perf_counter()
        whole.append((done - began) * 1000)
        commits.append((done - fetched) * 1000)
    return whole[10:], commits[10:]  # the first ones connect


def _default_worker() -> None:
    """A worker as ours, but with Dramatiq's own waiting and prefetching."""
    from app import config, wiring
    from workers import main as worker

    worker.IDLE_POLL_MS, worker.PREFETCH = 1000, 2 * 16
    settings = config.load()
    wiring.configure_logging(settings)
    worker.run_worker(settings, queues=["live"], threads=16)


if __name__ == "__main__":
    main()
