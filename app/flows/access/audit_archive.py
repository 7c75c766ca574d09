"""The oldest entries of the audit log go from the database into files that still prove themselves."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import structlog

from app.flows.access.audit import note, problem_of
from app.flows.deps import Deps
from app.rules.access.chain import BEGINNING
from app.stores.access import archives, audit
from app.stores.access.audit import Archive

FOLDER = "archive"
"""Where in the data folder the files are."""

LARGEST = 5_000
"""Entries of a file."""

AT_ONCE = 500
"""Entries removed in one transaction."""

log = structlog.get_logger()


def archive(deps: Deps, folder: Path, days: int) -> int:
    """Bring entries older than ``days`` into files of ``folder``, whole months at a time, and remove what is archived.

    Returns how many were removed. Any number may archive at once. Killed at any line it loses nothing and goes on: a
    file is on the disk before the database is told of it, and only then may its entries be removed. A chain that is
    broken stays where it is. So does everything where earlier files are missing: another host has them, or its disk
    did not last. Raises ``OSError``.
    """
    with deps.database.read() as conn:
        known = audit.archives(conn)
    missing = [one.file for one in known if not (folder / one.file).exists()]
    if missing:
        log.warning("audit_not_archived", folder=str(folder), missing=missing)
    else:
        before = _month(deps.now() - timedelta(days=days))
        more = True
        while more:
            more = _archive(deps, folder, known, before)
            with deps.database.read() as conn:
                known = audit.archives(conn)
    return _remove(deps, known[-1].last) if known else 0


def _archive(deps: Deps, folder: Path, known: list[Archive], before: datetime) -> bool:
    """One more file; whether there is more to archive."""
    last, head = (known[-1].last, known[-1].head) if known else (0, BEGINNING)
    with deps.database.read() as conn:
        entries = audit.archivable(conn, last, before, LARGEST)
    previous = head
    for number, entry in enumerate(entries, last + 1):
        problem = problem_of(entry, number, previous)
        if problem is not None:
            log.error("audit_not_archived", problem=problem)
            return False
        previous = entry["hash"]
    if not entries:
        return False
    made = Archive(last + 1, entries[-1]["number"], previous, archives.write(folder, entries))
    with deps.database.begin() as conn:
        audit.lock(conn)
        if audit.archives(conn) == known:  # else another clock was faster
            audit.add_archive(conn, made, deps.now())
            note(deps, conn, "audit.archive", f"entries {made.first} to {made.last}", after=made._asdict())
    return len(entries) == LARGEST


def _remove(deps: Deps, until: int) -> int:
    removed = 0
    while True:
        with deps.database.begin() as conn:
            some = audit.remove_archived(conn, until, AT_ONCE)
        removed += some
        if some < AT_ONCE:
            return removed


def _month(moment: datetime) -> datetime:
    """When its month began: all clocks of a month then cut at the same entry."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
