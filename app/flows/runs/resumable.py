"""A read whose pages are judged together: each page is stored as it comes, so that a resumed run continues after it."""

from collections.abc import Callable, Iterator

import structlog
from sqlalchemy import Connection

from app.domain import Kind, Page
from app.flows.items.bulk_read import ReadAgain
from app.flows.runs.retrying import pages_with_retries
from app.flows.runs.run_state import ActiveRun
from app.sources.base import ResumeLost
from app.stores.catalog import watermarks
from app.stores.runs import run_pages

log = structlog.get_logger()


def resumable_pages(
    run: ActiveRun, kind: Kind, pages_from: Callable[[str | None], Iterator[Page]]
) -> Callable[[], Iterator[Page]]:
    """A function that reads the pages from where the run stopped; after ``restart_read`` from the beginning."""

    def lost(error: Exception) -> None:
        restart_read(run)
        raise ReadAgain from error

    def read() -> Iterator[Page]:
        pages = kept(run, kind)
        if len(pages) < run.checkpoint.pages:
            lost(ResumeLost("the pages behind the place to go on at are gone"))
        if run.checkpoint.resume is None:
            run.progress.processed = run.checkpoint.begun  # no page of this stage is stored
        yield from pages
        keep = True
        for page in pages_with_retries(run, pages_from, lost):
            yield page
            keep = keep and page.resume is not None and not page.changes
            keep = _add_page(run, page, keep=keep)  # after a page that cannot be stored, no later one is

    return read


def _add_page(run: ActiveRun, page: Page, *, keep: bool) -> bool:
    """Count a page and, with ``keep``, store it; returns whether the read can be resumed after it."""
    run.expect(page.expected)
    run.progress.batch = page.label or run.progress.batch
    run.progress.processed += len(page.records) + len(page.changes) + len(page.failed)
    with run.transaction() as conn:
        return keep and store(run, conn, page)


def restart_read(run: ActiveRun) -> None:
    """Drop the stored pages: the read begins again, with a new moment of beginning."""
    with run.transaction() as conn:
        drop(run, conn)
        run.progress.processed = run.checkpoint.begun


def kept(run: ActiveRun, kind: Kind) -> list[Page]:
    """The stored pages of the current stage, in order; fewer than ``run.checkpoint.pages`` when some are gone."""
    with run.deps.database.read() as conn:
        return list(run_pages.of(conn, run.id, kind, run.checkpoint.pages))


def store(run: ActiveRun, conn: Connection, page: Page) -> bool:
    """Store one more page; ``False`` when it has a value that cannot be stored, so the read cannot be resumed after it."""
    if not run_pages.put(conn, run.id, run.checkpoint.pages, page.records, page.failed):
        return False
    run.checkpoint.pages += 1
    run.checkpoint.resume = page.resume
    return True


def drop(run: ActiveRun, conn: Connection) -> None:
    """Drop the pages and the place after them together: a read resumed there without them would miss their rows."""
    run_pages.drop(conn, run.id)
    run.checkpoint = run.checkpoint.restart_stage()


def is_overtaken(run: ActiveRun, kind: Kind) -> bool:
    """Whether the kind was read as a whole since this run's read of it began."""
    with run.deps.database.read() as conn:
        whole = watermarks.whole_read_at(conn, run.connection, kind)
    began = run.checkpoint.read_at
    if began is None or whole is None or whole <= began:
        return False
    log.info("read_overtaken", run=run.id, connection=run.connection, kind=kind)
    return True
