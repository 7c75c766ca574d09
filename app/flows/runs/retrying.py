"""Reading on through failures that pass: a batch is tried three times, with growing pauses, before the run fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import structlog

from app.domain import Page
from app.errors import DatabaseFault, Transient
from app.flows.runs.run_state import Course
from app.sources.base import ResumeLost

TRIES = 3
LONGEST_PAUSE = 60.0

T = TypeVar("T")

log = structlog.get_logger()


def pages(
    course: Course, read: Callable[[str | None], Iterator[Page]], lost: Callable[[Exception], None]
) -> Iterator[Page]:
    """The pages of ``read(resume)`` from the run's checkpoint on.

    After a failure it goes on behind the last page that could be resumed after. Where there is none, or the source has
    forgotten that place, the read begins anew: ``lost`` is called first, and may raise. Raises what the source raised at
    the third failure in a row.
    """
    resume, failures = course.checkpoint.resume, 0
    shown = resume is not None
    while True:
        try:
            for page in read(resume):
                resume, failures, shown = page.resume or resume, 0, True
                yield page
        except ResumeLost as error:
            log.warning("resume_lost", run=course.id, error=str(error))
            resume, shown = None, False
            lost(error)
        except Transient as error:
            failures += 1
            _pause(course, error, failures)
            if shown and resume is None:
                shown = False
                lost(error)
        else:
            return


def tried(course: Course, work: Callable[[], T]) -> T:
    """``work()``, tried again after failures that pass."""
    failures = 0
    while True:
        try:
            return work()
        except Transient as error:
            failures += 1
            _pause(course, error, failures)


def _pause(course: Course, error: Transient, failures: int) -> None:
    if failures >= TRIES or isinstance(error, DatabaseFault):
        raise error
    pause = max(course.patience * 4.0 ** (failures - 1), error.retry_after or 0.0)
    log.warning("batch_tried_again", run=course.id, failures=failures, pause=round(pause, 1), error=str(error))
    end = time.monotonic() + min(pause, LONGEST_PAUSE)
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 1.0))
        course.saved()  # a cancelled run must not sleep on
