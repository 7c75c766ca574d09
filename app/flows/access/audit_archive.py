"""Moves the oldest entries of the audit log from the database into files that are part of the chain."""

from datetime import datetime, timedelta
from pathlib import Path

import structlog

from app.flows.access.audit import note, problem_of
from app.flows.deps import Deps
from app.rules.access.chain import BEGINNING
from app.stores.access import archives, audit
from app.stores.access.audit import Archive

FOLDER = "archive"
"""The name of the folder in the data folder."""

FILE_SIZE = 5_000
"""Entries per file."""

BATCH_SIZE = 500
"""Entries removed in one transaction."""

log = structlog.get_logger()


def archive(deps: Deps, folder: Path, days: int) -> int:
    """Move entries older than ``days`` into files of ``folder``, whole months at a time; returns how many were removed.

    Any number of processes may archive at once. One that is killed at any line loses nothing: a file is on the disk
    before the database knows of it, and only then may its entries be removed. A broken chain stays where it is. So does
    everything if earlier files are missing: another host has them, or its disk was lost. Raises ``OSError``.
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
    """Write one more file; returns whether there is more to archive."""
    last, head = (known[-1].last, known[-1].head) if known else (0, BEGINNING)
    with deps.database.read() as conn:
        entries = audit.archivable(conn, last, before, FILE_SIZE)
    previous = head
    for number, entry in enumerate(entries, last + 1):
        problem = problem_of(entry, number, previous)
        if problem is not None:
            log.error("audit_not_archived", problem=problem)
            return False
        previous = entry.hash
    if not entries:
        return False
    made = Archive(last + 1, entries[-1].number, previous, archives.write(folder, entries))
    with deps.database.begin() as conn:
        audit.lock(conn)
        if audit.archives(conn) == known:  # else another clock was faster
            audit.add_archive(conn, made, deps.now())
            note(deps, conn, "audit.archive", f"entries {made.first} to {made.last}", after=made._asdict())
    return len(entries) == FILE_SIZE


def _remove(deps: Deps, until: int) -> int:
    removed = 0
    while True:
        with deps.database.begin() as conn:
            some = audit.remove_archived(conn, until, BATCH_SIZE)
        removed += some
        if some < BATCH_SIZE:
            return removed


def _month(moment: datetime) -> datetime:
    """The beginning of an entry's month: so all clocks cut at the same entry."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
