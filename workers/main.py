"""Starts one worker process: a Dramatiq worker with warm threads on the queues it was given."""

import gc
from collections.abc import Sequence

import dramatiq
import structlog
from dramatiq.brokers.stub import StubBroker

from app import wiring
from app.channels.queue import BrokerQueue, LocalQueue, redis_broker
from app.config import Settings
from app.flows.deps import Deps, Queue
from app.flows.items.leases import LeaseKeeper
from app.flows.items.shares import Shares
from app.flows.upkeep.heartbeat import await_database
from app.local.stop_signal import on_stop_signal
from workers.actors import register
from workers.middleware import DeadLetters, Housekeeping, WarmThreads

IDLE_POLL_MS = 20
"""How long an idle worker thread waits for a message: 20 ms costs a few percent of a core and makes a quiet shop fast."""

PREFETCH = 64
"""Messages fetched ahead: with Dramatiq's default the consumer sleeps while its threads are idle."""

CHECK_INTERVAL = 0.5
"""Seconds between two checks for a signal: one that another thread received (as after SIGCONT) does not wake the main
thread."""

STOP_WITHIN_MS = 12_000
"""How long running items may take to end after a signal: a supervisor kills the process after 25 s, and giving leases back
may take 10 s of these."""

log = structlog.get_logger()


def run_worker(settings: Settings, *, queues: Sequence[str], threads: int) -> None:
    """Work until SIGTERM or SIGINT; running items are finished, prefetched ones go back to the queue."""
    url = settings.redis()
    broker: dramatiq.Broker = redis_broker(url) if url else StubBroker(middleware=[])
    queue: Queue = BrokerQueue(broker) if url else LocalQueue(broker)  # type: ignore[arg-type]
    deps = wiring.build(settings, "worker", queue=queue, threads=threads)
    work(broker, deps, queues=queues, threads=threads, sweep_every=2.0 if url else 0.2)


def work(broker: dramatiq.Broker, deps: Deps, *, queues: Sequence[str], threads: int, sweep_every: float) -> None:
    """Work with these parts until SIGTERM or SIGINT, then close the database. Begins when the database answers.

    One connection may hold at most ``threads`` threads at once."""
    shares = Shares(threads, len(deps.sources))
    keeper = LeaseKeeper(deps.database, deps.now, shares=shares)
    letters = DeadLetters(deps)
    broker.add_middleware(letters)
    broker.add_middleware(WarmThreads(deps))
    broker.add_middleware(Housekeeping(deps, role="worker", every=sweep_every, also=letters.write_pending))
    register(broker, deps, keeper)
    worker = dramatiq.Worker(
        broker, queues=set(queues), worker_threads=shares.all_threads, worker_timeout=IDLE_POLL_MS
    )
    worker.queue_prefetch = PREFETCH
    stopping = on_stop_signal()
    if not await_database(deps, stopping):
        return
    worker.start()
    gc.collect()
    gc.freeze()  # as in the web process: a full collection over all that was imported stops every thread for 150 ms
    gc.set_threshold(50_000, 20, 20)
    log.info("worker_started", queues=list(queues), threads=threads)
    while not stopping.wait(CHECK_INTERVAL):
        pass
    keeper.begin_stopping()
    worker.stop(timeout=STOP_WITHIN_MS)
    keeper.stop()
    deps.database.close()
    log.info("worker_stopped", queues=list(queues))
