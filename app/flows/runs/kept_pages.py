"""The stored pages of an unfinished read: it continues after them, and they are dropped when the kind is written."""

from sqlalchemy import Connection

from app.domain import Kind, Page
from app.flows.runs.run_state import ActiveRun
from app.stores.runs import run_pages


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
