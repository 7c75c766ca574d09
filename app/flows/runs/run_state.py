"""A run that this worker carries out: where it is, what it has done, and whether it is still ours; saved with every page."""

import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from app.domain import Kind, Strategy
from app.flows.connections import health
from app.flows.connections.health import Fault
from app.flows.deps import Deps
from app.flows.items.held_items import BelievedRows
from app.flows.items.leases import LeaseKeeper
from app.rules.runs.checkpoint import Checkpoint
from app.rules.runs.kind_counts import KindCounts
from app.rules.runs.progress import Progress
from app.sources.base import Source
from app.stores.catalog.bulk import Written
from app.stores.guard.foreseen import Foreseen, foreseen
from app.stores.runs import runs
from app.stores.runs.run_row import Run

ANOTHER_ACCOUNT = "account"
"""The guard's rule that takes all products for those of another account."""


class Stopped(Exception):
    """The run is no longer ours: somebody cancelled it or took it over. Nothing more may be written."""


class Interrupted(Stopped):
    """This process must stop: the run is given back, and another worker continues from its checkpoint."""


class Blocked(Exception):
    """The vendor refuses or does not answer, and the fault is the connection's or the kind's, not one item's."""

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault


T = TypeVar("T")

_State = tuple[Checkpoint, Progress, dict[str, KindCounts]]


@dataclass
class ActiveRun:
    """One worker's hold on a run."""

    deps: Deps
    keeper: LeaseKeeper
    source: Source
    row: Run
    token: str
    patience: float = 1.0
    """Seconds before the second try of a batch; before the third it is four times as long."""
    guesses: Sequence[int | None] = field(default=(), init=False)
    """How many records each stage is expected to have; empty until that is known."""

    def __post_init__(self) -> None:
        self.id = self.row.id
        self.connection = self.row.connection
        self.strategy = Strategy(self.row.strategy)
        self.options = self.row.options
        self.checkpoint = self.row.checkpoint
        self.progress = self.row.progress
        self.counts = self.row.counts
        self.rehearsed = BelievedRows() if self.options.dry_run else None
        self._listings: Sequence[str] | None = None
        self._expected: int | None = None
        self._calls_before = self.row.calls - self.source.calls()

    @property
    def writer(self) -> str:
        """What this run writes as ``SyncColumns.written_by``."""
        return f"run {self.id}"

    # what is allowed

    def remaining(self) -> int | None:
        """How many records the limit still allows."""
        return None if self.options.limit is None else max(0, self.options.limit - self.progress.processed)

    def remaining_after(self, records: int) -> int | None:
        """How many records the limit still allows after these."""
        remaining = self.remaining()
        return None if remaining is None else max(0, remaining - records)

    def check_stopping(self) -> None:
        """Raises ``Interrupted`` when this process must stop."""
        if self.keeper.stopping:
            raise Interrupted

    def check_connection(self) -> None:
        """Raises ``Blocked`` where the vendor must not be called now: a person paused it, or other work met a fault.

        Must not be called within a transaction.
        """
        if (reason := health.blocked(self.deps, self.connection)) is not None:
            raise Blocked(Fault.CONNECTION, reason)

    def check_fault(self, kind: Kind, error: Exception, failed: Sequence[str] = ()) -> None:
        """Raises ``Blocked`` where a failed call concerns more than the items in ``failed`` (none: it asked for a list)."""
        if isinstance(error, health.JUDGED):
            fault = health.judge(self.deps, self.connection, kind, error, failed)
            if fault is not health.Fault.ITEM:
                raise Blocked(fault, self.deps.redact(str(error))) from error

    # saving

    @property
    def calls(self) -> int:
        """Upstream calls of this run, those before a resume included."""
        return self._calls_before + self.source.calls()

    def save_in(self, conn: Connection) -> None:
        """Save progress and checkpoint in the transaction of what was done; raises ``Stopped``, which undoes it."""
        self.progress.total = self._total()
        self.progress.mark(self.deps.now())
        saved = runs.save(
            conn,
            self.id,
            self.token,
            checkpoint=self.checkpoint,
            progress=self.progress,
            counts=self.counts,
            calls=self.calls,
        )
        if not saved:
            raise Stopped

    def save(self) -> None:
        """Save progress and checkpoint in a transaction of their own."""
        with self.transaction():
            pass

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A commit of this run. If it fails, the counts and the checkpoint are again what they were before the block.

        Raises ``Interrupted`` after the commit when this process must stop, and ``Blocked`` as ``check_connection`` does.
        """
        with self._restored_on_failure(), self.deps.database.begin() as conn:
            yield conn
            self.save_in(conn)
        self.check_stopping()
        self.check_connection()

    def commit(self, work: Callable[[Connection], T]) -> T:
        """The result of ``work`` in a commit of this run; done again if the database undid it. Call ``check_stopping`` after
        it."""
        before = self._state()

        def restart(conn: Connection) -> T:
            self._restore(copy.deepcopy(before))
            result = work(conn)
            self.save_in(conn)
            return result

        with self._restored_on_failure():
            return self.deps.database.transact(restart)

    def on_written(self, kind: Kind) -> Callable[[Connection, Written], None]:
        """A callback for a bulk write: it counts and saves in each of the write's commits, and stops the write where this
        process must stop. So a resumed run has counted what it wrote before."""
        before: _State | None = None

        def count_and_save(conn: Connection, written: Written) -> None:
            nonlocal before
            before = before or self._state()
            with self._restored_on_failure():
                self._restore(copy.deepcopy(before))
                counts = KindCounts(created=written.created, updated=written.updated, deleted=written.deleted)
                self.count(kind, counts)
                self.checkpoint.wrote += written.created + written.updated
                self.save_in(conn)
                self.check_stopping()

        return count_and_save

    @contextmanager
    def _restored_on_failure(self) -> Iterator[None]:
        before = self._state()
        try:
            yield
        except BaseException:
            self._restore(before)
            raise

    def _state(self) -> _State:
        return copy.deepcopy((self.checkpoint, self.progress, self.counts))

    def _restore(self, state: _State) -> None:
        self.checkpoint, self.progress, self.counts = state

    # counting

    def counts_of(self, kind: Kind) -> KindCounts:
        """The counts of a kind, to be changed; a kind without any gets empty ones."""
        return self.counts.setdefault(kind, KindCounts())

    def count(self, kind: Kind, more: KindCounts) -> None:
        """Add the numbers of ``more`` to those of the kind and to the progress."""
        self.counts_of(kind).add(more)
        self.progress.add(more.numbers())

    def hold(self, kind: Kind, rows: int, reason: str, rules: Collection[str]) -> None:
        """Count rows that these rules of the guard hold, or would hold in a real run."""
        self.progress.held += rows
        counts = self.counts_of(kind)
        counts.held = reason
        counts.held_rules = sorted({*counts.held_rules, *rules})

    def foreseen(self) -> Foreseen:
        """What a dry run has found so far: the next batch is judged as if that had been written."""
        products = self.counts.get(Kind.PRODUCT)
        is_other = products is not None and ANOTHER_ACCOUNT in products.held_rules
        with self.deps.database.read() as conn:
            return foreseen(conn, self.id, account_held=is_other)

    # the current stage

    def finish_stage(self, work: Callable[[Connection], object] = lambda conn: None) -> None:
        """Move the checkpoint to the next stage, in the commit of the stage's last ``work``: were they two commits, a run
        that dies in between would read the stage again, and count it twice. As ``commit``, it checks nothing."""

        def finish(conn: Connection) -> None:
            work(conn)
            self.checkpoint = self.checkpoint.next_stage(self.progress.processed)
            self._expected = None

        self.commit(finish)

    def read_began(self) -> datetime:
        """When the current read began; a resumed one keeps its beginning."""
        if self.checkpoint.read_at is None:
            self.checkpoint.read_at = self.deps.now()
        return self.checkpoint.read_at

    def listings_once(self, choose: Callable[[], Sequence[str]]) -> Sequence[str]:
        """The listings that the run is about, chosen once: what its first stage writes does not change its later ones."""
        if self._listings is None:
            self._listings = choose()
        return self._listings

    def expect(self, records: int | None) -> None:
        """Set how many records the current stage has; ``None`` where its source does not say."""
        self._expected = self._expected if records is None else records

    def _total(self) -> int | None:
        """How many records the run will have: those of finished stages, those of the current one (as its source says or
        earlier runs had, and at least what it has processed), and what earlier runs had in later stages."""
        if not self.guesses:
            return None
        guess, *later = [*self.guesses[self.checkpoint.stage :], None]
        if (current := self._expected if self._expected is not None else guess) is None and later:
            return None
        done = self.progress.processed - self.checkpoint.begun
        total = self.checkpoint.begun + max(current or 0, done) + sum(each or 0 for each in later)
        return total if self.options.limit is None else min(total, self.options.limit)
