"""The bulk path: stream a complete read, diff it by row hash, judge it, and apply only what differs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

import structlog

from app.domain import Change, Kind, Page, Scope, micros
from app.errors import Transient, Unavailable
from app.flows.deps import Deps
from app.flows.holds.hold_back import keep
from app.flows.holds.holds import finish_released
from app.flows.holds.plausible import Verdict, batch_of, examine, learn, only, without
from app.flows.items.bad_records import Failure, healing, unread, unstorable
from app.rules.guard.guard import FIRST_LOAD, RUN
from app.stores.catalog import Key, bulk, watermarks
from app.stores.catalog.bulk import Diff, Differ, Written
from app.stores.guard import holds
from app.stores.guard.foreseen import NOTHING, Foreseen
from app.stores.sql.engine import Database

BEGUN_AT_MOST = 4
"""How often one look may begin anew because its source lost the place."""

log = structlog.get_logger()


class ReadAnew(Exception):
    """What a read has shown so far does not count any more: raised by the reader, from what made it lose its place."""


@dataclass(frozen=True)
class Absorbed:
    """What a bulk read came to. ``held`` says why (by which ``held_rules``) ``held_rows`` of its rows were not written,
    ``None`` when all were;
    ``diff`` is then what was beyond doubt, and of a look that writes nothing ``doubtful`` the rest.

    ``failures`` are records that cannot be read or stored, ``healed`` external ids of items that failed before and are
    well again. With an unreadable record that has no id (``nameless``) nothing can be said to have vanished.
    """

    diff: Diff
    written: Written
    read_at: datetime
    changes: list[Change] = field(default_factory=list)
    watermark: str | None = None
    complete: bool = False
    held: str | None = None
    held_rows: int = 0
    held_rules: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    healed: list[str] = field(default_factory=list)
    nameless: int = 0
    doubtful: Diff | None = None

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
        clock: Callable[[], datetime],
    ) -> Written:
        """Write it; returns the rows that were really written."""


def absorb(
    deps: Deps,
    connection: str,
    kind: Kind,
    read: Callable[[], Iterator[Page]],
    *,
    run_id: int | None = None,
    deeds: Set[str] = RUN,
    before: Before | None = None,
    began: Callable[[], datetime] | None = None,
    anew: Callable[[], None] = lambda: None,
    write: Write = bulk.write,
    foreseen: Foreseen | None = None,
    edited: Collection[Key] = (),
) -> Absorbed:
    """Read everything ``read`` yields and make our rows equal to it, unless that is implausible.

    An implausible read is repeated once, after ``anew()``; if the second look agrees with the first, the batch is held
    for a person (``stores.guard.holds``) and nothing is written. ``deeds`` is what the guard judges (``rules.guard.guard``),
    ``began`` says when a read that is resumed began, ``write`` does the writing. With what is ``foreseen`` it is a
    dry run: nothing is held or written, and the answer says what would be. ``edited`` as for ``look``.
    """
    dry = foreseen is not None
    if not dry:
        finish_released(deps, connection, kind)
    absorbed, scope = look(deps, connection, kind, read, began or deps.now, edited)
    verdict = judge(deps, connection, absorbed.diff, scope, deeds, foreseen)
    if verdict.reason is not None:
        log.warning("implausible_read_repeated", connection=connection, kind=kind, reason=verdict.reason)
        anew()
        absorbed, scope = look(deps, connection, kind, read, began or deps.now, edited)
        verdict = judge(deps, connection, absorbed.diff, scope, deeds, foreseen)
    if verdict.reason is not None:
        doubted = _doubt(absorbed, verdict) if dry else _hold(deps, connection, absorbed, scope, verdict, run_id)
        absorbed = replace(doubted, held_rules=verdict.rules)
    if before is not None:
        before(absorbed.diff, absorbed.read_at)
    diff, now = absorbed.diff, deps.now()
    if dry:
        return replace(absorbed, written=_would(diff))
    if absorbed.complete:
        with deps.database.begin() as conn:
            watermarks.cover(conn, connection, kind, absorbed.read_at)
    written = write(deps.database, connection, diff, read_at=absorbed.read_at, now=now, scope=scope, clock=deps.now)
    if deeds > FIRST_LOAD and (run_id is not None or verdict.judge is not None):
        learn(deps, connection, kind, verdict)
    if absorbed.held is None:
        with deps.database.begin() as conn:
            holds.pass_(conn, connection=connection, kind=kind, read_at=absorbed.read_at)
    return _with_unwritten(replace(absorbed, written=written), connection)


def _with_unwritten(absorbed: Absorbed, connection: str) -> Absorbed:
    """The records that could not be written join those that could not be read."""
    if not absorbed.written.failed:
        return absorbed
    failures = [*absorbed.failures, *(unstorable(one.record, one.error) for one in absorbed.written.failed)]
    failing = {failure.ref.external_id for failure in failures}
    return replace(absorbed, failures=failures, healed=[id for id in absorbed.healed if id not in failing])


def look(
    deps: Deps,
    connection: str,
    kind: Kind,
    read: Callable[[], Iterator[Page]],
    began: Callable[[], datetime],
    edited: Collection[Key] = (),
) -> tuple[Absorbed, Scope | None]:
    """What a read comes to, nothing written yet, and what it speaks for. A read that lost its place begins anew, with
    a beginning of its own: what it showed before is older than what it reports on. ``edited`` rows count as edited by
    hand though they are not marked."""
    for _ in range(BEGUN_AT_MOST):
        try:
            return _look(deps, connection, kind, read, began(), edited)
        except ReadAnew as lost:
            cause = lost.__cause__
            log.warning("read_anew", connection=connection, kind=kind, error=str(cause))
    raise cause if isinstance(cause, Transient) else Unavailable(f"the read lost its place again and again: {cause}")


def _look(
    deps: Deps,
    connection: str,
    kind: Kind,
    read: Callable[[], Iterator[Page]],
    read_at: datetime,
    edited: Collection[Key],
) -> tuple[Absorbed, Scope | None]:
    differ = Differ(deps.database, connection, kind, read_at, deps.now(), edited)
    healer = healing(deps, connection, kind)
    failures: dict[tuple[str, str], Failure] = {}
    changes: list[Change] = []
    watermark: str | None = None
    scope: Scope | None = None
    for page in read():
        misfits = [unstorable(misfit.record, misfit.error) for misfit in differ.feed(page.records, deps.now())]
        healer.see(page.records)
        failures |= {_name(failure): failure for failure in [*map(unread, page.failed), *misfits]}
        changes.extend(page.changes)
        watermark = page.watermark or watermark
        scope = page.complete or scope
    failing = {failure.ref.external_id for failure in failures.values()}
    nameless = sum(not id for id, _ in failures)
    if nameless:  # it may be any of our rows that is shown unreadably, so none has vanished
        scope = None
    complete = scope is not None
    is_whole = scope is not None and scope.field is None
    absorbed = Absorbed(
        differ.diff(scope, {failure.shown for failure in failures.values()}),
        Written(),
        read_at,
        changes,
        watermark,
        complete,
        failures=list(failures.values()),
        healed=healer.healed(failing, complete=is_whole),
        nameless=nameless,
    )
    return absorbed, scope


def _name(failure: Failure) -> tuple[str, str]:
    """A page that is shown twice shows a failure twice; those without an id are told apart by their words."""
    id = failure.ref.external_id
    return (id, "" if id else str(failure.error))


def judge(
    deps: Deps,
    connection: str,
    diff: Diff,
    scope: Scope | None,
    deeds: Set[str],
    foreseen: Foreseen | None = None,
) -> Verdict:
    """What the guard says of a diff."""
    return examine(deps, connection, batch_of(diff, scope, first=deeds == FIRST_LOAD), deeds, foreseen or NOTHING)


def _would(diff: Diff) -> Written:
    """What writing a diff comes to."""
    return Written(len(diff.created), len(diff.changed), len(diff.touched), len(diff.vanished))


def _doubt(absorbed: Absorbed, verdict: Verdict) -> Absorbed:
    """What would be put in front of a person, beside what is beyond doubt."""
    keys = {row.key for row in verdict.held()}
    good, doubtful = without(absorbed.diff, keys), only(absorbed.diff, keys)
    return replace(absorbed, diff=good, watermark=None, held=verdict.reason, held_rows=len(keys), doubtful=doubtful)


def _hold(
    deps: Deps, connection: str, absorbed: Absorbed, scope: Scope | None, verdict: Verdict, run_id: int | None
) -> Absorbed:
    """Put what is implausible in front of a person; what is beyond doubt is left to be written."""
    diff = absorbed.diff
    summary = {
        "rows_here": diff.total_local,
        "rows_read": diff.read,
        "created": len(diff.created),
        "changed": len(diff.changed),
        "zeroed": diff.zeroed,
        "vanished": len(diff.vanished),
    }
    held = keep(
        deps,
        connection,
        diff.kind,
        verdict,
        read_at=absorbed.read_at,
        absent=None if scope is None else scope.absent,
        summary=summary,
        run_id=run_id,
    )
    good = without(diff, held.keys)
    return replace(absorbed, diff=good, watermark=None, held=held.reason, held_rows=len(held.keys))
