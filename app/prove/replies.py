"""What a web process answers its senders with, in simulated time: the two things of an event loop that the intake uses."""

from __future__ import annotations

from collections.abc import Callable

from app.prove.stage import Stage, Task


class Loop:
    """Just enough of an event loop for ``Intake.offer``."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def create_future(self) -> Answer:
        return Answer(self)

    def call_soon_threadsafe(self, work: Callable[..., object], *args: object) -> None:
        work(*args)


class Answer:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: list[Task] = []
        self._good: bool | None = None

    def get_loop(self) -> Loop:
        return self._loop

    def done(self) -> bool:
        return self._good is not None

    def set_result(self, result: object) -> None:
        self._good = True
        self._loop.stage.wake(self._waiting, 0.001)

    def set_exception(self, error: BaseException) -> None:
        self._good = False
        self._loop.stage.wake(self._waiting, 0.001)

    def wait(self) -> bool:
        if self._good is None:
            self._loop.stage.park(None, self._waiting)
        return bool(self._good)
