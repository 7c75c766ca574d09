"""Forks real worker processes on demand: each is there within milliseconds, and can be killed like any other.

``python -m tests.workers.zygote <database url> <redis url> <clock's start> <clock's speed>``: a line on standard input
makes one more child, whose number is printed.
"""

import os
import sys

import structlog

from app.channels.queue import LIVE, BrokerQueue, redis_broker
from app.flows.deps import Deps
from app.stores.sql.engine import open_database
from tests.fakes import SHOP
from tests.workers.perilous import PerilousShop, clock
from workers.main import work


def be_worker(database_url: str, redis_url: str, start: float, speed: float) -> None:
    """A worker of the live queue until it is killed."""
    devnull = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(devnull, descriptor)
    broker = redis_broker(redis_url)
    sources = {SHOP: PerilousShop()}
    deps = Deps(
        open_database(database_url),
        BrokerQueue(broker),
        sources,
        sources,
        worker=f"forked:{os.getpid()}",
        now=clock(start, speed),
    )
    work(broker, deps, queues=[LIVE], threads=4, sweep_every=0.05)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    database, queue, began, speed = sys.argv[1:]
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            be_worker(database, queue, float(began), float(speed))
            os._exit(0)
        print(child, flush=True)
