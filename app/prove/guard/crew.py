"""Many trials by processes of their own, each with a ground of its own."""

import logging
import signal
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.util import Finalize

import structlog

from app.prove.guard.ground import Ground
from app.prove.guard.trial import Outcome, Trial

_ground: Ground


def outcomes(trials: Sequence[Trial], *, hands: int = 1, url: str = "") -> Generator[Outcome]:
    """What comes of the trials, in their order, each as soon as it is known; ``hands`` at a time, in SQLite files or at
    the PostgreSQL server of ``url``. Closing the iterator leaves out those that were not begun."""
    pool = ProcessPoolExecutor(hands, get_context("spawn"), _begin, (url,))
    try:
        yield from pool.map(_attempt, trials)
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(url: str) -> None:
    """Ctrl-C is for the parent, which shows the outcomes and then ends this process."""
    global _ground
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    _ground = Ground(url)
    Finalize(None, _ground.close, exitpriority=1)


def _attempt(trial: Trial) -> Outcome:
    return _ground.attempt(trial)
