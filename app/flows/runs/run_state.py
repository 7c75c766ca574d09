"""A run under way: where it is, what it has done, and whether it is still ours; saved with every page."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from app.domain import Kind, Options, Strategy
from app.flows.connections import health
from app.flows.connections.health import Fault
from app.flows.deps import Deps
from app.flows.items.doubted_items import BelievedRows
from app.flows.items.leases import LeaseKeeper
from app.rules.runs.progress import Progress
from app.rules.runs.strategies import Leg
from app.sources.base import Source
from app.stores.catalog.bulk import Written
from app.stores.guard.foreseen import Foreseen, foreseen
from app.stores.runs import runs

ANOTHER_ACCOUNT = "account"
"""The guard's rule that takes all products for those of another account."""


class Stopped(Exception):
    """The run is ours no longer: somebody cancelled it, or it was taken over. Nothing more may be written."""


class Interrupted(Stopped):
    """This process is to stop: the run is given back, and goes on elsewhere from its checkpoint."""


class Blocked(Exception):
    """The vendor refuses or does not answer: it is the whole connection's fault, or the kind's, not one item's."""

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault


class FailedLeg(msgspec.Struct, frozen=True):
    """A leg that failed while the run went on with the next one."""

    leg: int
    kind: str
    error: str


class Checkpoint(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Where to go on. ``leg`` counts finished legs, ``chosen`` is what a smart run decided on.

    The rest is about the leg under way: ``resume`` is the source's token, ``pages`` how many pages are kept,
    ``read_at`` when its read began, ``after`` the last item done, ``begun`` what was processed before it,
    ``silences`` how often its vendor did not answer although the account did. ``failed`` are the legs that are behind us
    without success, ``upto`` is where a slice ends.
    """

    leg: int = 0
    resume: str | None = None
    pages: int = 0
    read_at: datetime | None = None
    after: str | None = None
    begun: int = 0
    chosen: Strategy | None = None
    failed: list[FailedLeg] = []
    silences: int = 0
    upto: datetime | None = None

    def next_leg(self, processed: int) -> Checkpoint:
        """The one at the beginning of the next leg."""
        return Checkpoint(leg=self.leg + 1, begun=processed, chosen=self.chosen, failed=self.failed)

    def leg_anew(self) -> Checkpoint:
        """The one at the beginning of this leg."""
        return Checkpoint(
            leg=self.leg,
            begun=self.begun,
            chosen=self.chosen,
            failed=self.failed,
            silences=self.silences,
            upto=self.upto,
        )

    def first_failed(self) -> Checkpoint:
        """The one at the beginning of the first leg that failed: a resumed run goes on there."""
        return Checkpoint(leg=min(one.leg for one in self.failed), begun=self.begun, chosen=self.chosen)


_Counted = tuple[Checkpoint, Progress, dict[str, dict[str, Any]]]


@dataclass
class Course:
    """One worker's hold on a run."""

    deps: Deps
    keeper: LeaseKeeper
    source: Source
    run: dict[str, Any]
    token: str
    legs: list[Leg] = field(default_factory=list)
    patience: float = 1.0
    """Seconds before the second try of a batch; before the third it is four times as long."""

    def __post_init__(self) -> None:
        self.id: int = self.run["id"]
        self.connection: str = self.run["connection"]
        self.strategy = Strategy(self.run["strategy"])
        self.options = msgspec.convert(self.run["options"], Options)
        self.checkpoint = msgspec.convert(self.run["checkpoint"], Checkpoint)
        self.progress = msgspec.convert(self.run["progress"], Progress)
        self.counts: dict[str, dict[str, Any]] = self.run["counts"]
        self._listings: Sequence[str] | None = None
        self._told: int | None = None
        self.rehearsed = BelievedRows() if self.options.dry_run else None
        self.guesses: Sequence[int | None] = ()
        self._calls_before = self.run["calls"] - self.source.calls()

    @property
    def calls(self) -> int:
        """Upstream calls of this run, those before a resume included."""
        return int(self._calls_before + self.source.calls())

    def left(self) -> int | None:
        """How many records the limit still allows."""
        return None if self.options.limit is None else max(0, self.options.limit - self.progress.processed)

    def left_after(self, records: int) -> int | None:
        """How many the limit still allows beside these records."""
        left = self.left()
        return None if left is None else max(0, left - records)

    def save(self, conn: Connection) -> None:
        """Put progress and checkpoint into the transaction of what was done; raises ``Stopped``, which undoes it."""
        self.progress.total = self._total()
        self.progress.mark(self.deps.now())
        saved = runs.save(
            conn,
            self.id,
            self.token,
            checkpoint=msgspec.to_builtins(self.checkpoint),
            progress=msgspec.to_builtins(self.progress),
            counts=self.counts,
            calls=self.calls,
        )
        if not saved:
            raise Stopped

    def saved(self) -> None:
        """Save by itself."""
        with self.turn():
            pass

    def writing(self, kind: Kind) -> Callable[[Connection, Written], None]:
        """For a bulk write (its ``told``): counts what is written, saves in the very commits, and stops where this process
        is to stop; so a run that goes on has counted what it wrote before."""
        before: _Counted | None = None

        def told(conn: Connection, written: Written) -> None:
            nonlocal before
            so_far = self._counted()
            before = before or so_far
            try:
                self.checkpoint, self.progress, self.counts = copy.deepcopy(before)
                self.count(kind, created=written.created, updated=written.updated, deleted=written.deleted)
                self.save(conn)
                self.go_on()
            except BaseException:
                self.checkpoint, self.progress, self.counts = so_far
                raise

        return told

    @contextmanager
    def turn(self) -> Iterator[Connection]:
        """A commit of this run. What was counted in the block is forgotten again if the commit fails.

        Raises ``Interrupted`` after the commit when this process is to stop.
        """
        before = self._counted()
        try:
            with self.deps.database.begin() as conn:
                yield conn
                self.save(conn)
        except BaseException:
            self.checkpoint, self.progress, self.counts = before
            raise
        self.go_on()
        self.may_ask()

    def commit(self, work: Callable[[Connection], object]) -> None:
        """``work`` in a commit of this run, and once more if the database undid it; to be followed by ``go_on``."""
        before = self._counted()

        def anew(conn: Connection) -> None:
            self.checkpoint, self.progress, self.counts = copy.deepcopy(before)
            work(conn)
            self.save(conn)

        try:
            self.deps.database.transact(anew)
        except BaseException:
            self.checkpoint, self.progress, self.counts = before
            raise

    def go_on(self) -> None:
        """Raises ``Interrupted`` when this process is to stop."""
        if self.keeper.stopping:
            raise Interrupted

    def may_ask(self) -> None:
        """Raises ``Blocked`` where the vendor is not to be asked now, by a person's wish or by what others found out. Not
        to be called within a transaction."""
        if (reason := health.blocked(self.deps, self.connection)) is not None:
            raise Blocked(Fault.CONNECTION, reason)

    def judge(self, kind: Kind, error: Exception, failed: Sequence[str] = ()) -> None:
        """Raises ``Blocked`` where a failed call concerns more than the items that it was about (none: a list)."""
        if isinstance(error, health.JUDGED):
            fault = health.judge(self.deps, self.connection, kind, error, failed)
            if fault is not health.Fault.ITEM:
                raise Blocked(fault, self.deps.redact(str(error))) from error

    def _counted(self) -> _Counted:
        return copy.deepcopy((self.checkpoint, self.progress, self.counts))

    def leg_done(self) -> None:
        """The leg under way is finished."""
        self.checkpoint = self.checkpoint.next_leg(self.progress.processed)
        self._told = None
        self.saved()

    def mark(self, kind: Kind, **words: str) -> None:
        """Say something of a kind beside its counts."""
        self.counts[kind] = {**self.counts.get(kind, {}), **words}

    def held(self, kind: Kind, rows: int, reason: str, rules: Collection[str]) -> None:
        """So many rows of a kind are held, or would be, by these rules of the guard."""
        self.progress.held += rows
        spoke = {*self.counts.get(kind, {}).get("held_rules", ()), *rules}
        self.counts[kind] = {**self.counts.get(kind, {}), "held": reason, "held_rules": sorted(spoke)}

    def foreseen(self) -> Foreseen:
        """What a dry run has found by now: what comes after it is judged as if that had been written."""
        is_other = ANOTHER_ACCOUNT in self.counts.get(Kind.PRODUCT, {}).get("held_rules", ())
        with self.deps.database.read() as conn:
            return foreseen(conn, self.id, account_held=is_other)

    def count(self, kind: Kind, **numbers: int) -> None:
        """Add to the counts of a kind and to the progress."""
        of_kind = Counter(self.counts.get(kind, {}))
        of_kind.update(numbers)
        self.counts[kind] = dict(of_kind)
        for name, number in numbers.items():
            if name in Progress.__struct_fields__:
                setattr(self.progress, name, getattr(self.progress, name) + number)

    def chosen(self, choose: Callable[[], Sequence[str]]) -> Sequence[str]:
        """The listings that the run is about, chosen once: what its first leg writes does not change its later ones."""
        if self._listings is None:
            self._listings = choose()
        return self._listings

    def expect(self, records: int | None) -> None:
        """The leg under way has so many records, where its source or its list of ids tells."""
        self._told = self._told if records is None else records

    def _total(self) -> int | None:
        """How many records the run will have: those behind it, what is told or (from earlier runs) guessed of the leg
        under way, and never fewer than it has had by now, and what is guessed of the legs to come."""
        if not self.guesses:
            return None
        now, *later = [*self.guesses[self.checkpoint.leg :], None]
        if (leg := self._told if self._told is not None else now) is None and later:
            return None
        done = self.progress.processed - self.checkpoint.begun
        total = self.checkpoint.begun + max(leg or 0, done) + sum(each or 0 for each in later)
        return total if self.options.limit is None else min(total, self.options.limit)

    def began(self) -> datetime:
        """When the read under way began; a resumed one keeps its beginning."""
        if self.checkpoint.read_at is None:
            self.checkpoint.read_at = self.deps.now()
        return self.checkpoint.read_at
