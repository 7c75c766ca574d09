"""The bulk path: stream a complete read, diff it by row hash, judge it, and apply only what differs."""

from collections.abc import Callable, Collection, Iterator, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

import structlog

from app.domain import Change, Kind, Page, Scope, micros
from app.errors import Transient, Unavailable
from app.flows.deps import Deps
from app.flows.holds.hold_back import keep, pass_by
from app.flows.holds.holds import finish_released
from app.flows.holds.plausible import Verdict, batch_of, examine, learn, only, without
from app.flows.items.bad_records import Failure, healing, unread, unstorable
from app.rules.guard.guard import FIRST_LOAD, RUN
from app.stores.catalog import Key, bulk, watermarks
from app.stores.catalog.bulk import Written
from app.stores.catalog.diff import Diff
from app.stores.catalog.differ import Differ
from app.stores.guard.foreseen import NOTHING, Foreseen
from app.stores.sql.engine import Database

MAX_READS = 4
"""How often one comparison may start its read again because the source lost the place."""

log = structlog.get_logger()


class ReadAgain(Exception):
    """Raised by a reader that lost its place, from the error that says so: all that it has shown no longer counts."""


@dataclass(frozen=True)
class BulkResult:
    """The result of a bulk read. If ``held_rows`` of its rows are held, ``held`` says why, ``held_rules`` by which rules,
    and ``diff`` has only the other rows; a dry run has the held ones in ``doubtful``.

    ``failures`` are records that cannot be read or stored, ``healed`` the external ids of items that failed before and
    are well again. While an unreadable record has no id (``nameless``), no row counts as vanished.
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
        """How far the kind is read now: the source's watermark, or for a kind without delta when the read began."""
        began = str(micros(self.read_at)) if self.diff.kind in whole_kinds else None
        return None if self.held else self.watermark or began


BeforeWrite = Callable[[Diff, datetime], None]
"""Called with a believed diff just before it is written, while the old values can still be read."""


class Write(Protocol):
    """Writes a believed diff, as ``bulk.write`` does."""

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
        """Returns the rows that were really written."""


def reconcile(
    deps: Deps,
    connection: str,
    kind: Kind,
    read: Callable[[], Iterator[Page]],
    *,
    run_id: int | None = None,
    checks: Set[str] = RUN,
    before_write: BeforeWrite | None = None,
    began: Callable[[], datetime] | None = None,
    restart: Callable[[], None] = lambda: None,
    write: Write = bulk.write,
    foreseen: Foreseen | None = None,
    edited: Collection[Key] = (),
) -> BulkResult:
    """Make our rows equal to everything that ``read`` yields, unless that is implausible.

    An implausible read is repeated once, after ``restart()``. If the second is implausible too, its doubtful rows are
    held for a person (``stores.guard.holds``) and only the others are written. ``checks`` are those that the guard makes
    (``rules.guard.guard``). ``began`` tells when a resumed read began. ``edited`` rows count as edited by hand though
    they are not marked. With ``foreseen`` this is a dry run: it holds and writes nothing, and returns what would be.
    """
    dry = foreseen is not None
    if not dry:
        finish_released(deps, connection, kind)

    def attempt() -> tuple[BulkResult, Scope | None, Verdict]:
        result, scope = _compare(deps, connection, kind, read, began or deps.now, edited)
        return result, scope, implausibility(deps, connection, result.diff, scope, checks, foreseen)

    result, scope, verdict = attempt()
    if verdict.reason is not None:
        log.warning("implausible_read_repeated", connection=connection, kind=kind, reason=verdict.reason)
        restart()
        result, scope, verdict = attempt()
    if verdict.reason is not None:
        result = _set_apart(result, verdict) if dry else _hold(deps, connection, result, scope, verdict, run_id)
    if before_write is not None:
        before_write(result.diff, result.read_at)
    if dry:
        return replace(result, written=_expected_writes(result.diff))
    result = _write(deps, connection, result, scope, write)
    if checks > FIRST_LOAD and (run_id is not None or verdict.judge is not None):
        learn(deps, connection, kind, verdict)
    if result.held is None:
        pass_by(deps, connection, kind, result.read_at)
    return result


def _compare(
    deps: Deps,
    connection: str,
    kind: Kind,
    read: Callable[[], Iterator[Page]],
    began: Callable[[], datetime],
    edited: Collection[Key],
) -> tuple[BulkResult, Scope | None]:
    """What a read would change, and the scope that it was complete for. A read that lost its place starts again, and then
    counts from its new beginning."""
    for _ in range(MAX_READS):
        try:
            return _compare_once(deps, connection, kind, read, began(), edited)
        except ReadAgain as lost:
            cause = lost.__cause__
            log.warning("read_anew", connection=connection, kind=kind, error=str(cause))
    raise cause if isinstance(cause, Transient) else Unavailable(f"the read lost its place again and again: {cause}")


def _compare_once(
    deps: Deps,
    connection: str,
    kind: Kind,
    read: Callable[[], Iterator[Page]],
    read_at: datetime,
    edited: Collection[Key],
) -> tuple[BulkResult, Scope | None]:
    differ = Differ(deps.database, connection, kind, read_at, deps.now(), edited)
    healer = healing(deps, connection, kind)
    failures: dict[tuple[str, str], Failure] = {}
    changes: list[Change] = []
    watermark: str | None = None
    scope: Scope | None = None
    for page in read():
        misfits = [unstorable(misfit.record, misfit.error) for misfit in differ.feed(page.records, deps.now())]
        healer.note(page.records)
        failures |= {_identity(failure): failure for failure in [*map(unread, page.failed), *misfits]}
        changes.extend(page.changes)
        watermark = page.watermark or watermark
        scope = page.complete or scope
    failing = {failure.ref.external_id for failure in failures.values()}
    nameless = sum(not id for id, _ in failures)
    if nameless:  # it may be any of our rows that is shown unreadably, so none has vanished
        scope = None
    result = BulkResult(
        differ.diff(scope, {failure.shown for failure in failures.values()}),
        Written(),
        read_at,
        changes,
        watermark,
        complete=scope is not None,
        failures=list(failures.values()),
        healed=healer.healed(failing, complete=scope is not None and scope.field is None),
        nameless=nameless,
    )
    return result, scope


def _identity(failure: Failure) -> tuple[str, str]:
    """A page shown twice shows a failure twice; failures without an id differ by their message."""
    id = failure.ref.external_id
    return (id, "" if id else str(failure.error))


def implausibility(
    deps: Deps,
    connection: str,
    diff: Diff,
    scope: Scope | None,
    checks: Set[str],
    foreseen: Foreseen | None = None,
) -> Verdict:
    """The guard's verdict on a diff."""
    batch = batch_of(diff, scope, first=checks == FIRST_LOAD)
    return examine(deps, connection, batch, checks, foreseen or NOTHING)


def _set_apart(result: BulkResult, verdict: Verdict) -> BulkResult:
    """A dry run's result, with the rows that would be held apart from the others."""
    keys = {row.key for row in verdict.held()}
    doubtful = only(result.diff, keys)
    return replace(_without(result, keys, verdict.reason, verdict.rules), doubtful=doubtful)


def _hold(
    deps: Deps, connection: str, result: BulkResult, scope: Scope | None, verdict: Verdict, run_id: int | None
) -> BulkResult:
    """Hold the doubtful rows for a person; the result keeps the others."""
    diff = result.diff
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
        read_at=result.read_at,
        absent=None if scope is None else scope.absent,
        summary=summary,
        run_id=run_id,
    )
    return _without(result, held.keys, held.reason, verdict.rules)


def _without(result: BulkResult, keys: Set[Key], reason: str | None, rules: list[str]) -> BulkResult:
    """The result without the rows that are held, and why they are."""
    diff = without(result.diff, keys)
    return replace(result, diff=diff, watermark=None, held=reason, held_rows=len(keys), held_rules=rules)


def _expected_writes(diff: Diff) -> Written:
    return Written(len(diff.created), len(diff.changed), len(diff.touched), len(diff.vanished))


def _write(deps: Deps, connection: str, result: BulkResult, scope: Scope | None, write: Write) -> BulkResult:
    """Write the believed diff; records that the database refused join those that could not be read."""
    diff, now = result.diff, deps.now()
    if result.complete:
        with deps.database.begin() as conn:
            watermarks.cover(conn, connection, diff.kind, result.read_at)
    written = write(deps.database, connection, diff, read_at=result.read_at, now=now, scope=scope, clock=deps.now)
    failures = [*result.failures, *(unstorable(one.record, one.error) for one in written.failed)]
    failing = {failure.ref.external_id for failure in failures}
    healed = [id for id in result.healed if id not in failing]
    return replace(result, written=written, failures=failures, healed=healed)
