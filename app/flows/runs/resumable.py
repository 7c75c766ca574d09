"""The pages of a look that is judged as a whole: kept as they come, so that a resumed run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.domain import Kind, Page
from app.flows.items.bulk_read import ReadAgain
from app.flows.runs import kept_pages
from app.flows.runs.retrying import pages
from app.flows.runs.run_state import Course
from app.sources.base import ResumeLost


def reader(
    course: Course, kind: Kind, pages_from: Callable[[str | None], Iterator[Page]]
) -> Callable[[], Iterator[Page]]:
    """What ``absorb`` reads of a run: it goes on where the run stopped; after ``forget`` that is the beginning."""

    def lost(error: Exception) -> None:
        forget(course)
        raise ReadAgain from error

    def read() -> Iterator[Page]:
        kept = kept_pages.kept(course, kind)
        if len(kept) < course.checkpoint.pages:
            lost(ResumeLost("the pages behind the place to go on at are gone"))
        if course.checkpoint.resume is None:
            course.progress.processed = course.checkpoint.begun  # nothing of this leg is behind us
        yield from kept
        keep = True
        for page in pages(course, pages_from, lost):
            yield page
            keep = keep and page.resume is not None and not page.changes  # a gap could not be filled on resuming
            keep = _turn(course, page, keep=keep)

    return read


def _turn(course: Course, page: Page, *, keep: bool) -> bool:
    """A page is behind us; ``keep`` what it showed, so that the read can be resumed after it. Returns whether it is."""
    course.expect(page.expected)
    course.progress.batch = page.label or course.progress.batch
    course.progress.processed += len(page.records) + len(page.changes) + len(page.failed)
    with course.turn() as conn:
        return keep and kept_pages.keep(course, conn, page)


def forget(course: Course) -> None:
    """The read begins anew: nothing of it was shown yet, and it has no beginning."""
    with course.turn() as conn:
        kept_pages.drop(course, conn)
        course.progress.processed = course.checkpoint.begun
