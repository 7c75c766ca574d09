"""The audit log as flows use it: every change that somebody makes is noted in the transaction that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from app.flows.deps import Deps
from app.rules.chain import BEGINNING, link
from app.stores import audit


@dataclass(frozen=True)
class Verdict:
    """What reading the whole chain found. ``broken`` is the number of the first entry that does not fit, if any;
    ``head`` is the newest entry's hash: kept elsewhere, it also shows that entries were cut off the end."""

    entries: int
    head: str
    broken: int | None = None
    problem: str | None = None


def note(
    deps: Deps,
    conn: Connection,
    action: str,
    subject: str,
    *,
    connection: str | None = None,
    before: Any = None,
    after: Any = None,
    why: str | None = None,
) -> None:
    """Append what ``deps.who`` does to the audit log, in the transaction ``conn`` that does it. Call it last in it.

    Secrets we know are taken out. ``before`` and ``after`` are JSON-ready values.
    """
    audit.record(
        conn,
        deps.who,
        action,
        subject,
        now=deps.now(),
        connection=connection,
        before=_clean(deps, before),
        after=_clean(deps, after),
        why=_clean(deps, why),
    )


def verify(deps: Deps, expected_head: str | None = None) -> Verdict:
    """Read the whole chain and say whether anything was changed, taken out, put in or (with a head kept elsewhere)
    cut off."""
    previous, number = BEGINNING, 0
    seen_head = expected_head is None or expected_head == BEGINNING
    with deps.database.read() as conn:
        for entry in audit.chain(conn):
            number += 1
            problem = _problem(entry, number, previous)
            if problem:
                return Verdict(number, entry["hash"], entry["number"], problem)
            previous = entry["hash"]
            seen_head = seen_head or previous == expected_head
    if not seen_head:
        return Verdict(number, previous, number, "the head that was noted is not in the chain: entries were cut off")
    return Verdict(number, previous)


def _problem(entry: dict[str, Any], number: int, previous: str) -> str | None:
    if entry["number"] != number:
        return f"entry {number} is missing"
    if entry["previous"] != previous:
        return f"entry {number} does not follow the one before it"
    if entry["hash"] != link(entry, previous):
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
