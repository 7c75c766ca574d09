"""A real worker process for a shop with perilous products, run by the tests as a script.

``python -m tests.workers.perilous <database url> <redis url> <clock's start> <clock's speed>``. A product whose name
begins with "deadly" takes the process down; one that begins with "slow" says so on standard output and waits for a
byte on standard input. The clock can run faster than time, so that leases end soon.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from app.channels.queue import BULK, LIVE, BrokerQueue, redis_broker
from app.domain import Answer, Ref
from app.flows.deps import Deps
from app.stores.sql.engine import open_database
from tests.fakes import SHOP, FakeSource, listing
from workers.main import work


class PerilousShop(FakeSource):
    """Has every product it is asked for."""

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        for ref in refs:
            if ref.external_id.startswith("deadly"):
                os.kill(os.getpid(), signal.SIGKILL)
            if ref.external_id.startswith("slow"):
                os.write(1, b"fetching\n")  # in one piece: print() of several threads would mix
                os.read(0, 1)  # not through sys.stdin: several threads wait here
            self.put(listing(ref.external_id))
        return super().fetch(refs)


def clock(start: float, speed: float) -> Callable[[], datetime]:
    """A clock that was right at ``start`` (epoch seconds) and runs ``speed`` times as fast as time."""
    began = datetime.fromtimestamp(start, UTC)
    return lambda: began + timedelta(seconds=(datetime.now(UTC) - began).total_seconds() * speed)


def main() -> None:
    """Work until SIGTERM, or until a product is deadly."""
    database_url, redis_url, start, speed, batch = sys.argv[1:]
    broker = redis_broker(redis_url)
    shop = {SHOP: PerilousShop(batch=int(batch))}
    now = clock(float(start), float(speed))
    name = f"perilous:{os.getpid()}"
    deps = Deps(open_database(database_url), BrokerQueue(broker), shop, shop, worker=name, now=now)
    work(broker, deps, queues=[LIVE, BULK], threads=4, sweep_every=0.1)


if __name__ == "__main__":
    main()
