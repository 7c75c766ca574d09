"""As much of an event loop as ``Intake.offer`` needs in a simulation: nothing runs on it, it only makes futures."""

from collections.abc import Callable

from app.prove.stage import Stage, Task


class Loop:
    """Stands in for the running loop of a thread that offers a delivery."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def create_future(self) -> "Answer":
        """Like ``asyncio``'s."""
        return Answer(self)

    def call_soon_threadsafe(self, work: Callable[..., object], *args: object) -> None:
        """Calls at once: no other thread runs."""
        work(*args)


class Answer:
    """A future; while a thread waits for it, other threads run."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: list[Task] = []
        self._good: bool | None = None

    def get_loop(self) -> Loop:
        """The loop that made it."""
        return self._loop

    def done(self) -> bool:
        """Whether the result is known."""
        return self._good is not None

    def set_result(self, result: object) -> None:
        """The delivery is committed."""
        self._good = True
        self._loop.stage.notify(self._waiting, 0.001)

    def set_exception(self, error: BaseException) -> None:
        """It is not."""
        self._good = False
        self._loop.stage.notify(self._waiting, 0.001)

    def wait(self) -> bool:
        """Wait for the result; ``True`` when the delivery was committed."""
        if self._good is None:
            self._loop.stage.park(None, self._waiting)
        return bool(self._good)
