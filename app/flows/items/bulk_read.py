"""The bulk path: stream a complete read, diff it by row hash, judge it, and apply only what differs."""

from collections.abc import Callable, Collection, Iterator, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count

import structlog
from sqlalchemy import Connection

from app.domain import FIRST_LOAD_WRITER, Change, Kind, Page, Scope, micros
from app.errors import Transient, Unavailable
from app.flows.deps import Deps
from app.flows.holds.hold_back import KindRead, keep, pass_by
from app.flows.holds.holds import finish_released
from app.flows.holds.plausible import Verdict, batch_of, examine, learn, only, without
from app.flows.items.bad_records import Failure, healing, unread, unstorable
from app.rules.guard.guard import FIRST_LOAD, RUN
from app.stores.catalog import Key, bulk, watermarks
from app.stores.catalog.bulk import Written
from app.stores.catalog.diff import Diff
from app.stores.catalog.differ import Differ
from app.stores.guard.foreseen import NOTHING, Foreseen
from app.stores.history.rows import begin_load, end_load

MAX_READS = 4
"""How often one comparison may read again, because the source lost the place, without getting further than ever."""

log = structlog.get_logger()


class ReadAgain(Exception):
    """Raised by a reader that lost its place, with the error that says so as its cause: its pages so far no longer count."""


@dataclass(frozen=True)
class BulkResult:
    """The result of a bulk read. If ``held_rows`` of its rows are held, ``held`` says why, ``held_rules`` by which rules,
    and ``diff`` has only the other rows; a dry run has the held ones in ``doubtful``.

    ``failures`` are records that cannot be read or stored, ``healed`` the external ids of items that failed before and are
    readable again. While an unreadable record has no id (``nameless``), no row counts as vanished.
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
"""Called with the accepted diff just before it is written, while the old values can still be read."""


@dataclass(frozen=True)
class BulkRead:
    """A read of everything of a kind (``pages``), to which our rows are to be made equal, made for ``by``
    (``SyncColumns.written_by``).

    ``checks`` are those that the guard makes (``rules.guard.guard``). ``began`` returns when a resumed read began.
    ``restart`` is called before the read is repeated, ``on_commit`` in each commit of the write (``bulk.write``). ``edited``
    rows count as edited by hand though they are not marked. With ``foreseen`` this is a dry run: it holds and writes
    nothing, and returns what a real run would do.
    """

    deps: Deps
    connection: str
    kind: Kind
    pages: Callable[[], Iterator[Page]]
    by: str
    run_id: int | None = None
    checks: Set[str] = RUN
    before_write: BeforeWrite | None = None
    began: Callable[[], datetime] | None = None
    restart: Callable[[], None] = lambda: None
    on_commit: Callable[[Connection, Written], None] = lambda conn, written: None
    foreseen: Foreseen | None = None
    edited: Collection[Key] = ()

    def reconcile(self) -> BulkResult:
        """Make our rows equal to the read, unless that is implausible.

        An implausible read is repeated once. If the second is implausible too, its doubtful rows are held for a person
        (``stores.guard.holds``) and only the others are written.
        """
        if self.foreseen is None:
            finish_released(self.deps, self.connection, self.kind)
        result, scope, verdict = self._attempt()
        if verdict.reason is not None:
            log.warning(
                "implausible_read_repeated", connection=self.connection, kind=self.kind, reason=verdict.reason
            )
            self.restart()
            result, scope, verdict = self._attempt()
        if verdict.reason is not None:
            result = self._hold(result, scope, verdict) if self.foreseen is None else _set_apart(result, verdict)
        if self.before_write is not None:
            self.before_write(result.diff, result.read_at)
        if self.foreseen is not None:
            return replace(result, written=_expected_writes(result.diff))
        result = self._write(result, scope)
        if self.checks > FIRST_LOAD and (self.run_id is not None or verdict.judge is not None):
            learn(self.deps, self.connection, self.kind, verdict)
        if result.held is None:
            pass_by(self.deps, KindRead(self.connection, self.kind, result.read_at))
        return result

    def _attempt(self) -> tuple[BulkResult, Scope | None, Verdict]:
        result, scope = self._compare()
        return result, scope, implausibility(self, result.diff, scope)

    def _compare(self) -> tuple[BulkResult, Scope | None]:
        """What the read would change, and the scope that it was complete for. A read that lost its place starts again, and
        then counts from its new beginning."""
        reads, most = 0, 0
        while reads < MAX_READS:
            number = count()
            try:
                pages = (page for page, _ in zip(self.pages(), number, strict=False))
                return self._compare_once((self.began or self.deps.now)(), pages)
            except ReadAgain as lost:
                cause = lost.__cause__
                log.warning("read_anew", connection=self.connection, kind=self.kind, error=str(cause))
            shown = next(number)
            reads, most = (1, shown) if shown > most else (reads + 1, most)
        if isinstance(cause, Transient):
            raise cause
        raise Unavailable(f"the read lost its place again and again: {cause}")

    def _compare_once(self, read_at: datetime, pages: Iterator[Page]) -> tuple[BulkResult, Scope | None]:
        deps = self.deps
        differ = Differ(deps.database, self.connection, self.kind, read_at, deps.now(), self.edited)
        healer = healing(deps, self.connection, self.kind)
        failures: dict[tuple[str, str], Failure] = {}
        changes: list[Change] = []
        watermark: str | None = None
        scope: Scope | None = None
        for page in pages:
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

    def _hold(self, result: BulkResult, scope: Scope | None, verdict: Verdict) -> BulkResult:
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
        absent = None if scope is None else scope.absent
        read = KindRead(self.connection, self.kind, result.read_at, run_id=self.run_id, absent=absent)
        held = keep(self.deps, read, verdict, summary)
        return _without(result, held.keys, held.reason, verdict.rules)

    def _write(self, result: BulkResult, scope: Scope | None) -> BulkResult:
        """Write the accepted diff; records that the database refused join those that could not be read."""
        deps, connection = self.deps, self.connection
        now = deps.now()
        with deps.database.begin() as conn:
            if result.complete:
                watermarks.cover(conn, connection, self.kind, result.read_at)
            is_first = begin_load(conn, connection, self.kind, now)
        written = bulk.write(
            deps.database,
            connection,
            result.diff,
            read_at=result.read_at,
            now=now,
            scope=scope,
            on_commit=self.on_commit,
            clock=deps.now,
            by=FIRST_LOAD_WRITER if is_first else self.by,
        )
        with deps.database.begin() as conn:
            end_load(conn, connection, self.kind, deps.now())
        failures = [*result.failures, *(unstorable(one.record, one.error) for one in written.failed)]
        failing = {failure.ref.external_id for failure in failures}
        healed = [id for id in result.healed if id not in failing]
        return replace(result, written=written, failures=failures, healed=healed)


def implausibility(read: BulkRead, diff: Diff, scope: Scope | None) -> Verdict:
    """The guard's verdict on a diff."""
    batch = batch_of(diff, scope, first=read.checks == FIRST_LOAD)
    return examine(read.deps, read.connection, batch, read.checks, read.foreseen or NOTHING)


def _identity(failure: Failure) -> tuple[str, str]:
    """A page shown twice shows a failure twice; failures without an id differ by their message."""
    id = failure.ref.external_id
    return (id, "" if id else str(failure.error))


def _set_apart(result: BulkResult, verdict: Verdict) -> BulkResult:
    """A dry run's result, with the rows that would be held apart from the others."""
    keys = {row.key for row in verdict.held()}
    doubtful = only(result.diff, keys)
    return replace(_without(result, keys, verdict.reason, verdict.rules), doubtful=doubtful)


def _without(result: BulkResult, keys: Set[Key], reason: str | None, rules: list[str]) -> BulkResult:
    """The result without the rows that are held, and why they are."""
    diff = without(result.diff, keys)
    return replace(result, diff=diff, watermark=None, held=reason, held_rows=len(keys), held_rules=rules)


def _expected_writes(diff: Diff) -> Written:
    return Written(len(diff.created), len(diff.changed), len(diff.touched), len(diff.vanished))
