"""How fast a backlog drains that can only be fetched one by one, with a vendor of 20 ms.

``python -m tests.bench.drain [--database sqlite|postgresql] [--items 20000]``

The backlog is orders of a connection without a batch read, owed and each with its message waiting, as the receiver or
a poll leaves them. The floor does the same GETs from as many threads, with one plain upsert each. Rates are taken from
the first to the last commit: starting processes is not measured.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from app.channels.queue import BrokerQueue, redis_broker
from app.domain import Cause, Change, ItemKey, Kind, batches
from app.stores import owed
from app.stores.sql.columns import moment_from
from tests.bench import installation, servers
from tests.bench.floor import Fetcher, Rows
from tests.bench.installation import ACCOUNT, DATABASES, WORKERS, Installation, installed

THREADS = 16
FINALE = "finale"


def main() -> None:
    """Print floor and ours for each database."""
    chosen = _options()
    if chosen.floor:
        _floor_process(*chosen.floor)
        return
    print(f"drain of {chosen.items:,} items; {servers.machine()}")
    print(f"vendor {installation.UPSTREAM_MS} ms, {WORKERS} processes of {THREADS} threads")
    for kind in [chosen.database] if chosen.database else DATABASES:
        _bench(kind, chosen.items)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--floor", nargs=4, metavar=("URL", "VENDOR", "FIRST", "COUNT"), help=argparse.SUPPRESS)
    return parser.parse_args()


def _bench(kind: str, items: int) -> None:
    with installed(kind) as place:
        floor = _floor(place, items)
        calls = place.calls()
        ours = _ours(place, items)
        calls = place.calls() - calls
    ideal = WORKERS * THREADS / (installation.UPSTREAM_MS / 1000)
    print(f"\n{kind}, load average {os.getloadavg()[0]:.1f}")
    print(f"{'':40}{'items/s':>9}{'of floor':>10}{'calls':>9}")
    print(f"{'threads that only wait for the vendor':40}{ideal:9,.0f}")
    print(f"{'floor: GET and one upsert, no queue':40}{floor:9,.0f}{1:10.2f}{items:9,}")
    print(f"{'Tallyhook':40}{ours:9,.0f}{ours / floor:10.2f}{calls:9,}")
    sys.stdout.flush()


def _ours(place: Installation, items: int) -> float:
    """Items per second."""
    owe(place, items)
    with place.workers():
        return drained(place, items)


def owe(place: Installation, items: int) -> None:
    """So many orders, each with its message."""
    broker = redis_broker(place.environment["TALLYHOOK_REDIS_URL"])
    queue = BrokerQueue(broker)
    for keys in _owe(place, [f"{number:06d}" for number in range(items)]):
        queue.enqueue(keys)
    broker.client.close()


def drained(place: Installation, items: int) -> float:
    """Items per second, once all are applied."""
    place.await_settled(60 + items / 100)
    ((count, first, last),) = place.rows(
        "SELECT count(*), min(settled_at), max(settled_at) FROM settlements"
        " WHERE kind = 'order' AND outcome = 'applied' AND attempts = 0"
    )
    if count != items:
        raise RuntimeError(f"{count} of {items} items were applied at once")
    began, ended = moment_from(first), moment_from(last)
    assert began is not None
    assert ended is not None
    return float((items - 1) / (ended - began).total_seconds())


def _owe(place: Installation, ids: Sequence[str]) -> list[list[ItemKey]]:
    """The items to wake, some hundreds at a time."""
    fresh = []
    for some in batches(ids, 500):
        changes = [Change(Kind.ORDER, id_) for id_ in some]
        with place.database.begin() as conn:
            fresh.append(owed.owe(conn, FINALE, changes, Cause.WEBHOOK, datetime.now(UTC)))
    return fresh


# --- the floor ---


def _floor(place: Installation, items: int) -> float:
    """Items per second of as many processes and threads that have nothing else to do."""
    Rows(place.database.url).create()
    share = items // WORKERS
    command = [sys.executable, "-m", "tests.bench.drain", "--floor", place.database.url, place.upstream]
    children = [
        subprocess.Popen([*command, str(number * share), str(share)], stdout=subprocess.PIPE)
        for number in range(WORKERS)
    ]
    spans = [msgspec.json.decode(child.communicate()[0], type=tuple[float, float]) for child in children]
    return share * WORKERS / (max(ended for _, ended in spans) - min(began for began, _ in spans))


def _floor_process(url: str, vendor: str, first: str, count: str) -> None:
    """One process's share; prints when it began and ended."""
    rows, fetcher = Rows(url), Fetcher(vendor)
    todo = iter(range(int(first), int(first) + int(count)))
    lock, ready = threading.Lock(), threading.Barrier(THREADS + 1)

    def work() -> None:
        rows.put(f"warm {first} {threading.get_ident()}", fetcher.get(f"/{ACCOUNT}/api/order/warm"))
        ready.wait()
        while True:
            with lock:
                number = next(todo, None)
            if number is None:
                return
            rows.put(f"{number:06d}", fetcher.get(f"/{ACCOUNT}/api/order/{number:06d}"))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.time()
    for thread in threads:
        thread.join()
    print(msgspec.json.encode((began, time.time())).decode())


if __name__ == "__main__":
    main()
