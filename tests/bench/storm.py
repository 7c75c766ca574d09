"""A storm of webhooks about few items: how many calls to the vendor it costs until nothing is owed any more.

``python -m tests.bench.storm [--database sqlite|postgresql] [--events 100000] [--items 500]``

Signed inventory events go through the real web process as fast as it takes them, while the workers fetch. One call
per event would be the obvious design; the vendor's budget is the connection's default (10 calls a second to begin
with). In the end every item must hold the counts of the vendor's last answer.
"""

import argparse
import gc
import os
import sys
import time

from tests.bench import installation, servers
from tests.bench.installation import DATABASES, Installation, installed
from tests.bench.load import Figures, closed_loop
from tests.bench.receiver import wire
from tests.bench.upstream import PLACES

IN_FLIGHT = 64


def main() -> None:
    """Print calls, times and the coalescing for each database."""
    chosen = _options()
    print(f"storm of {chosen.events:,} events about {chosen.items:,} items; {servers.machine()}")
    print(f"vendor {installation.UPSTREAM_MS} ms, {installation.WORKERS} worker processes of 16 threads")
    for kind in [chosen.database] if chosen.database else DATABASES:
        _bench(kind, chosen.events, chosen.items)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=500)
    return parser.parse_args()


def _bench(kind: str, events: int, items: int) -> None:
    requests = wire(events, items)
    with installed(kind) as place:
        place.web()
        with place.workers():
            began = time.perf_counter()
            figures = send(place, requests)
            sent = time.perf_counter() - began
            place.await_settled(300)
            settled = time.perf_counter() - began
        calls = place.calls()
        check(place, events, items)
        waits = place.rows("SELECT count(*), sum(changes) FROM settlements")[0]
    print(f"\n{kind}, load average {os.getloadavg()[0]:.1f}")
    print(f"{'':34}{'calls':>9}{'events per call':>17}")
    print(f"{'one call per event':34}{events:9,}{1:17.0f}")
    print(f"{'Tallyhook':34}{calls:9,}{events / calls:17,.0f}")
    print(
        f"taken in {sent:.1f} s ({figures.rate:,.0f}/s, p99 {figures.p99:.0f} ms), nothing owed after {settled:.1f} s;"
    )
    print(f"{waits[0]:,} settlements of {int(waits[1]):,} changes")
    sys.stdout.flush()


def send(place: Installation, requests: list[bytes]) -> Figures:
    """Everything, as fast as it is taken."""
    gc.collect()
    gc.disable()
    try:
        figures = closed_loop(place.port, requests, IN_FLIGHT)
    finally:
        gc.enable()
    if set(figures.statuses) != {202}:
        raise RuntimeError(f"not every event was taken: {figures.statuses}")
    return figures


def check(place: Installation, events: int, items: int) -> None:
    """Every event was stored, every item was fetched, and nothing is dead."""
    ((stored,),) = place.rows("SELECT count(*) FROM inbox_events WHERE connection = 'square'")
    ((counts,),) = place.rows("SELECT count(*) FROM stock WHERE NOT deleted")
    ((dead,),) = place.rows("SELECT count(*) FROM dead_letters")
    if (stored, counts, dead) != (events, items * len(PLACES), 0):
        raise RuntimeError(f"{stored} events stored, {counts} counts held, {dead} dead letters")


if __name__ == "__main__":
    main()
