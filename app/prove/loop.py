"""As much of an event loop as ``Intake.offer`` needs in a simulation: nothing runs on it, it only makes one future."""

from collections.abc import Callable

from app.prove.stage import Stage, Task


class Loop:
    """Stands in for the running loop of a thread that offers a delivery, and for the future that this loop makes. While a
    thread waits for the result, other threads run."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._waiting: list[Task] = []
        self._good: bool | None = None

    def create_future(self) -> "Loop":
        """Like ``asyncio``'s, but once."""
        return self

    def get_loop(self) -> "Loop":
        """The loop that made the future."""
        return self

    def call_soon_threadsafe(self, work: Callable[..., object], *args: object) -> None:
        """Calls at once: no other thread runs."""
        work(*args)

    def done(self) -> bool:
        """Whether the result is known."""
        return self._good is not None

    def set_result(self, result: object) -> None:
        """The delivery is committed."""
        self._good = True
        self._stage.notify(self._waiting, 0.001)

    def set_exception(self, error: BaseException) -> None:
        """It is not."""
        self._good = False
        self._stage.notify(self._waiting, 0.001)

    def wait(self) -> bool:
        """Wait for the result; ``True`` when the delivery was committed."""
        if self._good is None:
            self._stage.park(None, self._waiting)
        return bool(self._good)
