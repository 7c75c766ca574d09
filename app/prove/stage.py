"""The stage of a simulation: threads of which one runs at a time, and a clock that only moves when all of them wait.

A thread says how long it waits; the thread whose time comes first runs next, and its time becomes the present. The
seed decides how long waits are, so the same seed repeats the same order of threads exactly.
"""

import heapq
import random
from _thread import LockType, allocate_lock, start_new_thread
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

MOST_STEPS = 400_000
"""Switches between threads after which a simulation counts as endless."""


class Killed(BaseException):
    """The process of this thread is dead: the thread must do nothing more."""


class Endless(BaseException):
    """The simulation took far more steps than a sound one: it does not end."""


class Process(Protocol):
    """What the stage needs to know of the process that a thread belongs to."""

    name: str
    dead: bool
    stopped_until: float


@dataclass(eq=False)
class Task:
    """One thread on the stage."""

    name: str
    work: Callable[[], None]
    process: Process | None
    gate: LockType = field(default_factory=allocate_lock)
    ticket: int = 0
    started: bool = False
    done: bool = False
    inside: int = 0
    """The number of open database transactions; while there is one, no other thread runs."""
    committed_at: float = 0.0
    """When its last transaction was committed."""
    waiters: "list[Task]" = field(default_factory=list)

    @property
    def whose(self) -> str:
        """The name of its process."""
        return self.process.name if self.process is not None else self.name


class Stage:
    """Virtual time and the threads in it. The thread that creates the stage is its first task."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.rng = random.Random(f"stage {seed}")
        self.steps = 0
        self.died: list[str] = []
        self.current = Task("director", lambda: None, None, started=True)
        self.current.gate.acquire()
        self._queue: list[tuple[float, int, int, Task]] = []
        self._order = 0
        self.failure: BaseException | None = None
        self._director = self.current

    def spawn(self, name: str, work: Callable[[], None], process: Process | None, delay: float = 0.0) -> Task:
        """Start ``work`` in a thread of its own after a delay (seconds)."""
        task = Task(name, work, process)
        task.gate.acquire()
        self._due(task, delay)
        return task

    def pause(self, seconds: float) -> None:
        """Let other threads run for some seconds. Raises ``Killed`` when this thread's process died meanwhile."""
        if self.current.inside:  # during a transaction no other thread runs, but time passes
            self.now += seconds
            return
        self._due(self.current, max(seconds, 0.0))
        self._switch()

    def park(self, timeout: float | None, waiting: list[Task]) -> None:
        """Wait in a list until another thread calls ``notify``, at most ``timeout`` seconds."""
        me = self.current
        if me.inside:
            raise RuntimeError(f"{me.name} waits for another thread while it has a transaction open")
        waiting.append(me)
        me.ticket += 1  # whatever it was due for counts no longer
        if timeout is not None:
            self._due(me, timeout)
        try:
            self._switch()
        finally:
            if me in waiting:
                waiting.remove(me)

    def notify(self, waiting: list[Task], delay: float = 0.0, most: int | None = None) -> None:
        """Let threads that wait in a list continue after a delay."""
        for task in waiting[:most]:
            waiting.remove(task)
            self._due(task, delay)

    def hurry(self, process: Process) -> None:
        """Let every waiting thread of a process continue now, so that it notices that it is dead."""
        for _, _, ticket, task in list(self._queue):
            if task.process is process and ticket == task.ticket:
                self._due(task, 0.0)

    def stop(self, process: Process, seconds: float) -> None:
        """Stop a process for some seconds, as SIGSTOP does; what was due meanwhile then happens at once."""
        process.stopped_until = self.now + seconds
        for at, _, ticket, task in list(self._queue):
            if task.process is process and ticket == task.ticket:
                self._due(task, at - self.now)

    def _due(self, task: Task, delay: float) -> None:
        task.ticket += 1
        self._order += 1
        at = self.now + delay
        if task.process is not None and not task.process.dead:
            at = max(at, task.process.stopped_until)
        heapq.heappush(self._queue, (at, self._order, task.ticket, task))

    def _switch(self) -> None:
        me = self.current
        self._hand_over(me)
        if self.failure is not None:
            if me is self._director:
                raise self.failure
            me.gate.acquire()  # only the director reports the end; this thread stops here
        if me.process is not None and me.process.dead:
            raise Killed

    def _hand_over(self, me: Task) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS and self.failure is None:
            self.failure = Endless(f"no end after {self.steps} steps")
        chosen = self._director if self.failure is not None else self._next()
        if chosen is me:
            return
        self.current = chosen
        if chosen.started:
            chosen.gate.release()
        else:
            chosen.started = True
            start_new_thread(self._live, (chosen,))
        if not me.done:
            me.gate.acquire()

    def _next(self) -> Task:
        while True:
            at, _, ticket, task = heapq.heappop(self._queue)
            if ticket == task.ticket and not task.done:
                self.now = max(self.now, at)
                return task

    def _live(self, task: Task) -> None:
        try:
            if task.process is None or not task.process.dead:
                task.work()
        except Killed:
            pass
        except BaseException as error:
            self.failure = self.failure or error
        finally:
            task.done = True
            self.notify(task.waiters)
            self._hand_over(task)
