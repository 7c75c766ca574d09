"""The audit log as flows use it: every change that a person or program makes is noted in the same transaction."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from sqlalchemy import Connection

from app.flows.deps import Deps
from app.rules.access.chain import BEGINNING, Entry, link
from app.stores.access import archives, audit
from app.stores.access.audit import Archive, Details, ReadableEntry

ACTIONS = (
    *("audit.archive", "connections.check", "connections.pause", "connections.resume", "events.replay"),
    *("holds.dismissed", "holds.released", "inbox.import", "items.fetch", "letters.discard", "letters.edit"),
    *("letters.expire", "letters.replay", "letters.restore", "replay.abort", "runs.cancel", "runs.fail_stuck"),
    *("runs.resume", "runs.start", "schedules.set", "sign_in.failed", "sign_in.locked"),
    *("subscribers.create", "subscribers.delete", "subscribers.pause", "subscribers.resume", "subscribers.test"),
    *("tokens.create", "tokens.revoke"),
    *("users.add", "users.disable", "users.enable", "users.password"),
)
"""Every action that is noted."""


@dataclass(frozen=True)
class Verdict:
    """The result of reading the whole chain. ``broken`` is the number of the first entry that does not fit, if any;
    ``head`` is the newest entry's hash: kept elsewhere, it also shows that entries were cut off the end. ``archived``
    of the entries are in files."""

    entries: int
    head: str
    broken: int | None = None
    problem: str | None = None
    archived: int = 0


def note(
    deps: Deps,
    conn: Connection,
    action: str,
    subject: str,
    *,
    connection: str | None = None,
    **details: Unpack[Details],
) -> None:
    """Append what ``deps.principal`` does to the audit log, as the last step of the transaction ``conn`` that does it.

    Secrets that we know are removed from the details.
    """
    now, cleaned = deps.now(), _clean(deps, details)
    audit.record(conn, deps.principal, action, subject, now=now, connection=connection, **cleaned)


def list_entries(
    deps: Deps, *, limit: int = 50, before_number: int | None = None, action: str | None = None
) -> list[ReadableEntry]:
    """Entries about what the caller may see, newest first; ``action`` is one, or how several begin ("letters")."""
    with deps.database.read() as conn:
        return audit.entries(
            conn, limit=limit, before_number=before_number, action=action, connections=deps.principal.connections
        )


def verify(deps: Deps, expected_head: str | None = None, *, archive: Path | None = None) -> Verdict:
    """Read the whole chain and say whether an entry was changed, removed, inserted or (with a head kept elsewhere) cut
    off the end.

    ``archive`` is the folder with the files of archived entries: a missing file is a problem. Without a folder the
    files are not read, and the chain begins where the last of them ended.
    """
    while True:
        with deps.database.read() as conn:
            known = audit.archives(conn)
            verdict = _verify(conn, known, expected_head, archive)
        if verdict.problem is None:
            return verdict
        with deps.database.read() as conn:
            if audit.archives(conn) == known:  # else entries were archived while we read them
                return verdict


class _Broken(Exception):
    """An archive cannot be read; the message says why."""


def _verify(conn: Connection, known: list[Archive], expected_head: str | None, archive: Path | None) -> Verdict:
    archived = known[-1].last if known else 0
    number, previous = 0, BEGINNING
    if known and archive is None:
        number, previous = archived, known[-1].head
    seen_head = expected_head in (None, previous)
    try:
        for entry in _entries(conn, known, archive):
            number += 1
            problem = problem_of(entry, number, previous)
            if problem:
                return Verdict(number, previous, entry.number or number, problem, archived)
            previous = entry.hash
            seen_head = seen_head or previous == expected_head
    except _Broken as error:
        return Verdict(number, previous, number + 1, str(error), archived)
    if not seen_head:
        problem = "the head that was noted is not in the chain: entries were cut off"
        return Verdict(number, previous, number, problem, archived)
    return Verdict(number, previous, archived=archived)


def _entries(conn: Connection, known: list[Archive], archive: Path | None) -> Iterator[Entry]:
    """Every entry, archived ones first if there is a folder to read them from."""
    if archive is not None:
        for one in known:
            yield from _archived(archive, one)
    yield from audit.chain(conn, known[-1].last if known else 0)


def _archived(archive: Path, one: Archive) -> Iterator[Entry]:
    end = ("", 0)
    try:
        for entry in archives.read(archive, one.file):
            end = (entry.hash, entry.number)
            yield entry
    except OSError as error:
        raise _Broken(f"the archive {one.file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise _Broken(f"the archive {one.file} is damaged: {error}") from None
    if end != (one.head, one.last):
        raise _Broken(f"the archive {one.file} does not end with entry {one.last} as it was archived")


def problem_of(entry: Entry, number: int, previous: str) -> str | None:
    """Why an entry does not follow, as this number, the one whose hash is ``previous``; ``None`` if it does."""
    if entry.number != number:
        return f"entry {number} is missing"
    if entry.previous != previous:
        return f"entry {number} does not follow the one before it"
    if entry.hash != link(entry, previous):
        return f"entry {number} was changed"
    return None


def _clean(deps: Deps, value: Any) -> Any:
    if isinstance(value, str):
        return deps.redact(value)
    if isinstance(value, dict):
        return {name: _clean(deps, part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(deps, part) for part in value]
    return value
