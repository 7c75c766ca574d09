"""Retries of a run's calls after transient failures: three tries with growing pauses, then the run fails."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import structlog

from app.domain import Page
from app.errors import DatabaseFault, Transient
from app.flows.runs.run_state import ActiveRun
from app.sources.base import ResumeLost

TRIES = 3
LONGEST_PAUSE = 60.0
"""Seconds."""

T = TypeVar("T")

log = structlog.get_logger()


def pages_with_retries(
    run: ActiveRun, read: Callable[[str | None], Iterator[Page]], lost: Callable[[Exception], None]
) -> Iterator[Page]:
    """The pages of ``read(resume)`` from the run's checkpoint on.

    After a failure the read continues after the last page that has a resume token. Where there is none, or the source has
    forgotten that place, the read begins again: ``lost`` is called first, and may raise. Raises what the source raised
    at the third failure since the read got further than ever.
    """
    resume, failures, pages, most = run.checkpoint.resume, 0, 0, 0
    shown = resume is not None
    while True:
        try:
            for page in read(resume):
                pages += 1
                if pages > most:
                    most, failures = pages, 0
                resume, shown = page.resume or resume, True
                yield page
        except ResumeLost as error:
            log.warning("resume_lost", run=run.id, error=str(error))
            resume, shown, pages = None, False, 0
            lost(error)
        except Transient as error:
            failures += 1
            _pause(run, error, failures)
            if shown and resume is None:
                shown, pages = False, 0
                lost(error)
        else:
            return


def with_retries(run: ActiveRun, work: Callable[[], T]) -> T:
    """The result of ``work()``; raises its error at the third transient failure in a row, any other at once."""
    failures = 0
    while True:
        try:
            return work()
        except Transient as error:
            failures += 1
            _pause(run, error, failures)


def _pause(run: ActiveRun, error: Transient, failures: int) -> None:
    if failures >= TRIES or isinstance(error, DatabaseFault):
        raise error
    pause = max(run.patience * 4.0 ** (failures - 1), error.retry_after or 0.0)
    log.warning("batch_tried_again", run=run.id, failures=failures, pause=round(pause, 1), error=str(error))
    end = time.monotonic() + min(pause, LONGEST_PAUSE)
    while (remaining := end - time.monotonic()) > 0:
        time.sleep(min(remaining, 1.0))
        run.save()  # it raises when the run was cancelled meanwhile
