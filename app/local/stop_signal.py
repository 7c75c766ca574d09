"""Waits for a signal that asks this process to stop."""

import queue
import signal
from contextlib import suppress


class StopSignal:
    """Like a ``threading.Event``, but a signal handler may set it. A handler runs in the main thread, between any two steps
    of what that thread does: if that waits for an event just then, it holds the event's lock, and ``Event.set`` waits for
    ever. ``SimpleQueue.put`` is reentrant (documentation of ``queue``). Only one thread may wait."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_set = False

    def set(self) -> None:
        """Let the process stop."""
        self._is_set = True
        self._calls.put(None)

    def clear(self) -> None:
        """Wait for another signal."""
        self._is_set = False

    def is_set(self) -> bool:
        """Whether the process must stop."""
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Wait for the signal at most this many seconds; returns whether the process must stop."""
        if not self._is_set:
            with suppress(queue.Empty):
                self._calls.get(timeout=seconds)
        return self._is_set


def on_stop_signal() -> StopSignal:
    """Catch SIGTERM and SIGINT from now on; returns what they set."""
    stopping = StopSignal()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping
