"""Keeps a simulated shop over a restart: its state in one file that is replaced as a whole."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from app.domain.decoding import unpack

State = TypeVar("State")

SHORTEST_REST, LONGEST_REST = 0.05, 5.0  # seconds between two saves
REST = 20  # a rest is this many times as long as the save before it, so saving takes at most a twentieth of the time


def load(path: str, shape: type[State]) -> State | None:
    """The saved state, ``None`` without a path or a file; raises ``ValueError`` for a file that holds none."""
    if not path or not Path(path).exists():
        return None
    try:
        return unpack(Path(path).read_bytes(), shape)
    except msgspec.DecodeError as error:
        raise unusable(path, f"holds no shop of this simulator ({error})") from error


def unusable(path: str, reason: str) -> ValueError:
    """The error for a state file that cannot be used; it says what to do about it."""
    return ValueError(f"simulator option: state_file {reason}; delete {path} to begin with a new shop")


class Keeper:
    """Saves a state soon after each change: at once while that is cheap, else after a rest.

    With an empty path it does nothing. ``is_urgent`` says that a change must not wait for the end of the rest.
    """

    def __init__(
        self,
        path: str,
        state: Callable[[], object],
        is_urgent: Callable[[], bool] = lambda: False,
        shortest_rest: float = SHORTEST_REST,
    ) -> None:
        self._path = Path(path) if path else None
        self._state = state
        self._is_urgent = is_urgent
        self._shortest_rest = shortest_rest
        self._started = False
        self._timer: asyncio.TimerHandle | None = None
        self._rested_at = 0.0

    def start(self) -> None:
        """Save now, so that a path that cannot be written is noticed at the start, and after each change from now on."""
        self.save()
        self._started = self._path is not None

    def changed(self) -> None:
        """Note a change; the save comes after the event loop's present work. A no-op before ``start``."""
        if not self._started:
            return
        is_urgent = self._is_urgent()
        if self._timer is not None and not is_urgent:
            return
        if self._timer is not None:
            self._timer.cancel()
        rest = 0.0 if is_urgent else self._rested_at - time.monotonic()
        # From a timer, a full disk is an error in the log and does not end the shop's life: the next change saves.
        self._timer = asyncio.get_running_loop().call_later(rest, self.save)

    def save(self) -> None:
        """Write beside the file, then over it, so that a kill leaves the old state or the new; raises ``OSError``."""
        if self._path is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        began = time.monotonic()
        beside = self._path.with_name(self._path.name + ".new")
        beside.write_bytes(msgspec.msgpack.encode(self._state()))
        os.replace(beside, self._path)
        took = time.monotonic() - began
        self._rested_at = began + took + max(self._shortest_rest, min(LONGEST_REST, REST * took))
