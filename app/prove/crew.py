"""Many trials of a proof by processes of their own, each with databases of its own."""

import logging
import os
import signal
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.util import Finalize
from typing import Any, Generic, TypeVar

import structlog

from app.prove.databases import Databases, databases_at

Trial = TypeVar("Trial")
Outcome = TypeVar("Outcome")

Attempt = Callable[[Trial], Outcome]

_attempt: Attempt[Any, Any]


class Crew(Generic[Trial, Outcome]):
    """``hands`` processes that carry out one trial each at a time, in SQLite files or at the PostgreSQL server of ``url``.

    ``begin`` makes of a process's databases the function that carries out a trial; processes import it by name.
    ``before`` is Python that each process runs first, for example to remove a guard.
    """

    def __init__(
        self,
        begin: Callable[[Databases], Attempt[Trial, Outcome]],
        *,
        hands: int = 1,
        url: str = "",
        before: str = "",
    ) -> None:
        os.environ.update(PYTHONHASHSEED="0")  # for the processes: a seed repeats exactly
        self._pool = ProcessPoolExecutor(hands, get_context("spawn"), _begin, (begin, url, before))

    def attempt(self, trial: Trial) -> Outcome:
        """What comes of one trial."""
        (outcome,) = self.outcomes([trial])
        return outcome

    def outcomes(self, trials: Iterable[Trial]) -> Generator[Outcome]:
        """What comes of the trials, in their order, each as soon as it is known."""
        yield from self._pool.map(_attempted, trials)

    def close(self) -> None:
        """Leave out the trials that were not begun, and end the processes."""
        self._pool.shutdown(cancel_futures=True)


def _begin(begin: Callable[[Databases], Attempt[Any, Any]], url: str, before: str) -> None:
    """Ctrl-C is for the parent, which shows the outcomes and then ends this process."""
    global _attempt
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    exec(before, {})  # noqa: S102
    databases = databases_at(url)
    Finalize(None, databases.close, exitpriority=1)
    _attempt = begin(databases)


def _attempted(trial: Any) -> Any:
    return _attempt(trial)
