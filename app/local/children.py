"""Child processes of one command: started with a log file each, restarted when they die, stopped in order."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.local.log_files import last_lines, rotate

STOP_WITHIN = 25.0
"""Seconds a child has to end after SIGTERM before it is killed; more than a worker's own 20 s."""

PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """One process to keep running. ``restarts`` counts how often it had to be started again."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    start_after: float = 0.0

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches only the parent, which then stops it in order."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                self.command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def last_words(self, lines: int = 5) -> str:
        """The end of its log."""
        return last_lines(self.log, lines)


@dataclass
class Children:
    """The children in starting order; ``stop`` ends them in the opposite one."""

    tell: Callable[[str], None]
    members: list[Child] = field(default_factory=list)

    def start(self, child: Child) -> None:
        """Start one more."""
        child.start()
        self.members.append(child)

    def restart_ended(self) -> None:
        """Restart children that have ended, each time a little later, and keep the log files small."""
        for child in self.members:
            rotate(child.log)
            if child.process is None or child.process.poll() is None:
                continue
            if child.start_after == 0.0:
                wait = min(30.0, 0.5 * 2**child.restarts)
                child.start_after = time.monotonic() + wait
                self.tell(f"{child.name} ended with {child.process.returncode}, starts again in {wait:g} s")
                if child.process.returncode > 0:
                    self.tell(child.last_words())
            elif time.monotonic() >= child.start_after:
                child.restarts += 1
                child.start_after = 0.0
                child.start()

    def stop(self) -> None:
        """SIGTERM to each, last started first, and wait; SIGKILL after ``STOP_WITHIN`` seconds."""
        for child in reversed(self.members):
            if child.process is None or child.process.poll() is not None:
                continue
            child.process.send_signal(signal.SIGTERM)
            try:
                child.process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                self.tell(f"{child.name} did not end within {STOP_WITHIN:g} s and is killed")
                child.process.kill()
                child.process.wait()
        self.members.clear()


def _die_with_parent() -> None:
    """Even a parent that is killed leaves no orphans (prctl(2), Linux)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
