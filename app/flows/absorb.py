"""The bulk path: stream a complete read, diff it by row hash, judge it, and apply only what differs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

import structlog

from app.domain import Absent, Change, Kind, Page, Scope, micros
from app.flows.deps import Deps
from app.rules.guard import RUN, Impact, implausible
from app.stores import bulk, holds
from app.stores.bulk import Diff, Differ, Written
from app.stores.engine import Database

log = structlog.get_logger()


@dataclass(frozen=True)
class Absorbed:
    """What a bulk read came to. ``held`` says why nothing was written, ``None`` when it was."""

    diff: Diff
    written: Written
    read_at: datetime
    changes: list[Change] = field(default_factory=list)
    watermark: str | None = None
    complete: bool = False
    held: str | None = None

    def mark(self, whole_kinds: Collection[Kind]) -> str | None:
        """How far the kind is read now: the source's watermark; for a kind without delta when the read began."""
        began = str(micros(self.read_at)) if self.diff.kind in whole_kinds else None
        return None if self.held else self.watermark or began


Before = Callable[[Diff, datetime], None]
"""Called with a believed diff just before it is written, while the old values can still be read."""


class Write(Protocol):
    """What writes a believed diff, as ``bulk.write`` does."""

    def __call__(
        self,
        database: Database,
        connection: str,
        diff: Diff,
        *,
        read_at: datetime,
        now: datetime,
        scope: Scope | None,
    ) -> Written:
        """Write it; returns the rows that were really written."""


def absorb(
    deps: Deps,
    connection: str,
    kind: Kind,
    read: Callable[[], Iterator[Page]],
    *,
    run_id: int | None = None,
    deeds: Collection[str] = RUN,
    before: Before | None = None,
    began: Callable[[], datetime] | None = None,
    write: Write = bulk.write,
) -> Absorbed:
    """Read everything ``read`` yields and make our rows equal to it, unless that is implausible.

    An implausible read is repeated once; if the second look agrees with the first, the batch is held for a person
    (``stores.holds``) and nothing is written. ``deeds`` is what the guard judges (``rules.guard``), ``began`` says
    when a read that is resumed began, ``write`` does the writing.
    """
    absorbed, scope = look(deps, connection, kind, read, (began or deps.now)())
    reason = judge(deps, absorbed.diff, scope, deeds)
    if reason is not None:
        log.warning("implausible_read_repeated", connection=connection, kind=kind, reason=reason)
        absorbed, scope = look(deps, connection, kind, read, deps.now())
        reason = judge(deps, absorbed.diff, scope, deeds)
    if reason is not None and not _released(deps, connection, kind):
        return _hold(deps, connection, kind, absorbed, reason, run_id)
    if before is not None:
        before(absorbed.diff, absorbed.read_at)
    now = deps.now()
    written = write(deps.database, connection, absorbed.diff, read_at=absorbed.read_at, now=now, scope=scope)
    with deps.database.begin() as conn:
        holds.pass_(conn, connection=connection, kind=kind)
    return replace(absorbed, written=written)


def look(
    deps: Deps, connection: str, kind: Kind, read: Callable[[], Iterator[Page]], read_at: datetime
) -> tuple[Absorbed, Scope | None]:
    """What a read comes to, nothing written yet, and what it speaks for."""
    differ = Differ(deps.database, connection, kind, read_at)
    changes: list[Change] = []
    watermark: str | None = None
    scope: Scope | None = None
    for page in read():
        differ.feed(page.records)
        changes.extend(page.changes)
        watermark = page.watermark or watermark
        scope = page.complete or scope
    return Absorbed(differ.diff(scope), Written(), read_at, changes, watermark, scope is not None), scope


def judge(deps: Deps, diff: Diff, scope: Scope | None, deeds: Collection[str]) -> str | None:
    """Why a diff is not to be believed, ``None`` when it is."""
    zero = scope is not None and scope.absent is Absent.ZERO
    impact = Impact(
        total=diff.total_local,
        read=None if scope is None else diff.read,
        created=len(diff.created),
        changed=len(diff.changed),
        zeroed=diff.zeroed,
        deleted=0 if zero else len(diff.vanished),
    )
    return implausible(impact, deps.limits, deeds)


def _released(deps: Deps, connection: str, kind: Kind) -> bool:
    """Whether a person has said that the next such batch may pass."""
    with deps.database.begin() as conn:
        return holds.take_release(conn, connection=connection, kind=kind)


def _hold(deps: Deps, connection: str, kind: Kind, absorbed: Absorbed, reason: str, run_id: int | None) -> Absorbed:
    diff = absorbed.diff
    summary = {
        "rows_here": diff.total_local,
        "rows_read": diff.read,
        "created": len(diff.created),
        "changed": len(diff.changed),
        "zeroed": diff.zeroed,
        "vanished": len(diff.vanished),
    }
    with deps.database.begin() as conn:
        holds.hold(
            conn, connection=connection, kind=kind, run_id=run_id, reason=reason, summary=summary, now=deps.now()
        )
    log.error("batch_held", connection=connection, kind=kind, reason=reason)
    return replace(absorbed, watermark=None, held=reason)
