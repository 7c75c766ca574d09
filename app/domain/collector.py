"""Pauses the garbage collector during bulk work, where it would take most of the time."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_was_on: list[bool] = []
"""One entry for each pause, because threads overlap and each process has one collector: whether it was on before."""


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause garbage collection for the block, in every thread of this process: scanning a million new objects again and
    again takes longer than the work itself."""
    with _lock:
        _was_on.append(gc.isenabled())
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            was_on = _was_on.pop()
            if was_on and not _was_on:
                gc.enable()
