"""Simulated processes: web, workers and clocks made of the same parts as the real ones.

Each has a database of its own (``database.SimDatabase``), a host clock and threads, and can be killed. The parts in
``workers`` are loaded by name, as a process manager would: ``app`` imports nothing of ``workers``.
"""

import asyncio
import importlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import dramatiq
from dramatiq.brokers.stub import StubBroker

from app.channels.queue import BULK, LIVE
from app.flows.deps import Deps
from app.flows.inbox.receive import Intake
from app.flows.items.leases import LeaseKeeper
from app.flows.items.shares import Shares
from app.flows.upkeep.heartbeat import await_database
from app.prove.database import Doom, SimDatabase, Weather
from app.prove.faults import Faults
from app.prove.loop import Loop
from app.prove.network import Hook, Messages, SimQueue
from app.prove.shop import EPOCH
from app.prove.stage import Stage
from app.prove.standins import MONOTONIC
from app.prove.trace import Trace
from app.prove.vendor import Account
from app.prove.vendor_faults import VendorFaults
from app.stores.inbox.inbox import Arrival
from app.stores.runs.budgets import SharedBudget
from app.stores.sql.clock import DatabaseClock
from app.stores.sql.engine import DATABASE_ERRORS, Database

LIVE_PATIENCE = 2.0
BULK_PATIENCE = 30.0


@dataclass(eq=False)
class Surroundings:
    """What all processes share. ``threads`` are those of a worker, ``reconcile`` the cron expression of the clocks; with
    ``slow`` both do their rounds seldom."""

    stage: Stage
    faults: Faults
    database: Database
    trace: Trace
    vendors: Mapping[str, VendorFaults]
    messages: Messages
    weather: Weather = field(default_factory=Weather)
    threads: int = 2
    reconcile: str = "*/4 * * * *"
    slow: bool = False

    def note(self, process: str, what: str, ids: Sequence[str] = ()) -> None:
        """Add a line to the trace."""
        self.trace.add(self.stage.now, process, what, ids)


@dataclass(eq=False)
class Host:
    """One process on a host of its own. ``skew`` is how many seconds the host's clock is ahead."""

    name: str
    around: Surroundings
    skew: float = 0.0
    dead: bool = False
    stopping: bool = False
    stopped_until: float = 0.0
    doom: Doom | None = None

    def __post_init__(self) -> None:
        around = self.around
        self.database = SimDatabase(around.database, around.stage, self, around.faults, around.weather)
        server: Any = ServerTime(around.stage, self.database)
        self.clock = DatabaseClock(server, wall=self._wall, monotonic=lambda: MONOTONIC + around.stage.now)
        self.generations = {name: vendor.generation for name, vendor in around.vendors.items()}
        self.deps = Deps(
            database=self.database,
            queue=SimQueue(around.messages, self),
            sources=self._accounts(LIVE_PATIENCE),
            bulk_sources=self._accounts(BULK_PATIENCE),
            worker=self.name,
            now=self.clock.now,
            host=self.clock,
            credentials={name: f"{name} {generation}" for name, generation in self.generations.items()},
            mail=lambda subject, text: None,
        )

    def _wall(self) -> float:
        """What the host's own clock shows."""
        return EPOCH.timestamp() + self.around.stage.now + self.skew

    def boot(self) -> None:
        """Wait for the database and measure its clock, as every real process except a web process does; then start."""
        if await_database(self.deps, threading.Event()):
            self.start()

    def start(self) -> None:
        """Start the work, in threads of this process."""

    def stop(self) -> None:
        """End gracefully; called in a thread of this process."""

    def _accounts(self, patience: float) -> dict[str, Account]:
        return {
            name: Account(
                vendor,
                SharedBudget(self.database, name, lambda: self.clock.now().timestamp()),
                self.clock.now,
                patience,
                self.generations[name],
            )
            for name, vendor in self.around.vendors.items()
        }


class ServerTime:
    """The database as ``DatabaseClock`` needs it; its server shows virtual time."""

    dialect = "postgresql"

    def __init__(self, stage: Stage, database: SimDatabase) -> None:
        self._stage = stage
        self._database = database

    @contextmanager
    def read(self) -> "Iterator[ServerTime]":
        """Like ``Database.read``, with its faults."""
        with self._database.read():
            yield self

    def exec_driver_sql(self, statement: str) -> "ServerTime":
        """Ignores the statement, which asks for the time."""
        return self

    def scalar_one(self) -> float:
        """Epoch seconds."""
        return EPOCH.timestamp() + self._stage.now


class Web(Host):
    """Receives webhooks by the real group commit."""

    def start(self) -> None:
        """Starts the threads of the intake, except for checkpoints, which would only cost time."""
        self.intake = Intake(self.deps)
        for work in (self.intake._write_groups, self.intake._enqueue_committed):
            threading.Thread(target=work, name=f"{self.name} {work.__name__}", daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether it takes deliveries."""
        return hasattr(self, "intake") and not self.dead and not self.stopping

    def stop(self) -> None:
        """Commits the deliveries that wait."""
        self.stopping = True
        if hasattr(self, "intake"):
            self.intake.stop()

    def receive(self, hook: Hook, answered: Callable[[bool], None]) -> None:
        """Take a delivery, and answer when it is committed or refused; called in a thread of this process."""
        loop: Any = Loop(self.around.stage)
        asyncio.events._set_running_loop(loop)
        try:
            done: Any = self.intake.offer(Arrival(hook.connection, hook.delivery, {}, hook.body, self.deps.now()))
        finally:
            asyncio.events._set_running_loop(None)
        answered(done.wait())


class Worker(Host):
    """Processes messages with the real actors, middleware and housekeeping."""

    def start(self) -> None:
        """Starts the consumers of both queues, and the housekeeping."""
        middleware = importlib.import_module("workers.middleware")
        shares = Shares(self.around.threads, len(self.deps.sources))
        self.keeper = LeaseKeeper(self.database, self.deps.now, shares=shares)
        self._broker = StubBroker(middleware=[])
        self._letters = middleware.DeadLetters(self.deps)
        self._broker.add_middleware(self._letters)
        every = 20.0 if self.around.slow else 3.0
        self._housekeeping = middleware.Housekeeping(
            self.deps, role="worker", every=every, also=self._letters.write_pending
        )
        importlib.import_module("workers.actors").register(self._broker, self.deps, self.keeper)
        self._housekeeping.after_worker_boot(self._broker, None)
        self._busy = 0
        for queue in (*[LIVE] * shares.all_threads, BULK):
            threading.Thread(target=lambda queue=queue: self._consume(queue), name=f"{self.name} {queue}").start()

    def stop(self) -> None:
        """Like ``workers.main.work``."""
        self.stopping = True
        if not hasattr(self, "_busy"):
            return
        self.keeper.begin_stopping()
        self.around.messages.wake_all()
        self._housekeeping.before_worker_shutdown(self._broker, None)
        until = self.around.stage.now + 20.0
        while self._busy and self.around.stage.now < until:
            self.around.stage.pause(0.5)
        self.keeper.stop()

    def _consume(self, queue: str) -> None:
        messages = self.around.messages
        while (one := messages.take(self, queue, lambda: self.stopping)) is not None:
            self._busy += 1
            self._work_off(one)
            self._busy -= 1
            messages.done()

    def _work_off(self, one: dramatiq.Message[None]) -> None:
        """Like a Dramatiq worker with our middleware."""
        proxy: Any = dramatiq.broker.MessageProxy(one)
        error: Exception | None = None
        self.around.note(self.name, f"message {one.actor_name}", _ids(one.args))
        try:
            self._broker.get_actor(one.actor_name).fn(*one.args)
        except Exception as failure:
            error = failure
            self.around.note(self.name, f"raised {type(failure).__name__}: {failure}"[:160], _ids(one.args))
        self._letters.after_process_message(self._broker, proxy, exception=error)
        if proxy.failed:
            self._letters.after_nack(self._broker, proxy)


def _ids(args: Sequence[object]) -> list[str]:
    """The items of a message as traces name them; of a run its number."""
    if len(args) < 3:
        return [f"run/{arg}" for arg in args]
    also = cast(Sequence[str], args[3]) if len(args) > 3 else ()
    return [f"{args[0]}/{id}" for id in (args[2], *also)]


class Clock(Host):
    """Ticks like the real clock, but less often, because virtual seconds cost real time."""

    def start(self) -> None:
        """Starts one thread."""
        threading.Thread(target=self._run, name=self.name).start()

    def stop(self) -> None:
        """Stops after this round."""
        self.stopping = True

    def _run(self) -> None:
        schedule = importlib.import_module("workers.schedule")
        tick = importlib.import_module("app.flows.upkeep.tick")
        while True:
            try:
                tick.plan(self.deps, poll="* * * * *", reconcile=self.around.reconcile, timezone="UTC")
                tick.first_load(self.deps)
                break
            except DATABASE_ERRORS:
                self.around.stage.pause(2.0)
        rounds = schedule.Rounds(self.deps, schedule.ROUNDS)
        while not self.stopping:
            schedule.tick_once(self.deps, None)
            rounds.go()
            every = 15.0 if self.around.slow else 3.0
            self.around.stage.pause(every * self.around.stage.rng.uniform(0.5, 1.5))
