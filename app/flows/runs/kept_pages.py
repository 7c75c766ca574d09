"""The pages that an unfinished read has behind it, kept until the kind is written, so that it goes on where it stopped."""

from __future__ import annotations

from sqlalchemy import Connection

from app.domain import Kind, Page
from app.flows.runs.run_state import Course
from app.stores.runs import run_pages


def kept(course: Course, kind: Kind) -> list[Page]:
    """Those of the leg under way, in order; fewer than ``course.checkpoint.pages`` when some are gone."""
    with course.deps.database.read() as conn:
        return list(run_pages.of(conn, course.id, kind, course.checkpoint.pages))


def keep(course: Course, conn: Connection, page: Page) -> bool:
    """One more page is behind us: the read can be resumed after it, if this returns ``True``."""
    if not run_pages.put(conn, course.id, course.checkpoint.pages, page.records, page.failed):
        return False
    course.checkpoint.pages += 1
    course.checkpoint.resume = page.resume
    return True


def drop(course: Course, conn: Connection) -> None:
    """Kept pages and the place behind them go together: a read resumed without them would miss their rows."""
    run_pages.drop(conn, course.id)
    course.checkpoint = course.checkpoint.restart_stage()
