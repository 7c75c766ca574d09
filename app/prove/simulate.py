"""Simulates one seed: some virtual minutes of trouble, then quiet, then the checks."""

from collections.abc import Collection
from contextlib import closing

import msgspec
from sqlalchemy import text

from app.domain import Kind, Options, Strategy
from app.flows.runs.request_run import request_run
from app.prove import standins
from app.prove.checks import Checks
from app.prove.compare import Unreadable
from app.prove.faults import Dial, drawn
from app.prove.shop import EPOCH
from app.prove.stage import Endless, Stage
from app.prove.town import Town
from app.prove.trouble import Trouble
from app.prove.watch import Watch
from app.stores.guard import held_rows, holds
from app.stores.sql.engine import open_database

_AN_ITEM_OR_LEASED = "external_id <> '*' OR lease_until IS NOT NULL"

LONGEST_QUIET = 3 * 3600.0
"""Virtual seconds within which everything must come to rest."""


class Outcome(msgspec.Struct):
    """The outcome of a seed. ``on`` are the dials that were on, ``seen`` counts the faults that really happened."""

    seed: int
    findings: list[str] = []
    trace: list[str] = []
    on: list[str] = []
    seen: dict[str, int] = {}
    counts: dict[str, int] = {}


def printable(words: str) -> str:
    """The text without characters that no terminal or JSON can hold: findings quote bad records."""
    return "".join(one if one.isprintable() else "\ufffd" for one in words)


def simulate(seed: int, url: str, allowed: Collection[Dial], *, all_on: bool = False, hasty: bool = False) -> Outcome:
    """Simulate a seed on a migrated and empty database, with faults drawn from the allowed ones, or with all of them.

    Only in a process of its own, because the clock is replaced.
    """
    stage = Stage(seed)
    standins.install(stage, seed, EPOCH.timestamp())
    faults = drawn(seed, allowed, all_on=all_on)
    with closing(open_database(url, pool=8)) as database:
        town = Town(seed, database, stage, faults)
        checks = Checks(town)
        story = _Story(town, checks, hasty=hasty)
        try:
            story.tell()
        except Endless as end:
            checks.find(f"it does not come to rest: {end}")
        except Unreadable as error:
            checks.find(str(error))
        return _outcome(seed, town, checks)


def _outcome(seed: int, town: Town, checks: Checks) -> Outcome:
    ids = [id for finding in checks.findings[:3] for id in finding.ids]
    return Outcome(
        seed,
        [printable(finding.words) for finding in checks.findings],
        [printable(line) for line in town.trace.about(ids)] if checks.findings else [],
        sorted(town.faults.on),
        {str(dial): count for dial, count in sorted(town.faults.seen.items())},
        {
            "virtual seconds": int(town.stage.now),
            "steps": town.stage.steps,
            "edits": sum(len(shop.edits) for shop in town.shops.values()),
            "webhooks": len(town.post.hooks),
            "vendor calls": sum(vendor.calls for vendor in town.vendors.values()),
            "rows compared": checks.compared,
        },
    )


class _Story:
    """The acts of a simulation."""

    def __init__(self, town: Town, checks: Checks, *, hasty: bool) -> None:
        self._hasty = hasty
        self._town = town
        self._checks = checks
        self._stage = town.stage

    def tell(self) -> None:
        """Play all acts."""
        town = self._town
        town.populate()
        self._stage.spawn("supervisor", town.supervise, None)
        Trouble(town).begin()
        watch = Watch(town, self._checks)
        watch.begin()
        for _ in range(town.rng.randint(2, 4)):
            self._stage.pause(town.rng.uniform(30.0, 90.0))
            self._pause_and_check()
            if self._hasty and self._checks.findings:
                return
        self._calm_down()
        watch.ended = True
        self._come_to_rest()
        self._checks.settled_is_right()
        self._reconcile()
        self._judge()

    def _pause_and_check(self) -> None:
        """Pause all faults until nothing is owed or two minutes are over; in the first case check what was announced."""
        faults = self._town.faults
        faults.quiet = True
        end = self._stage.now + 120.0
        while self._stage.now < end:
            self._stage.pause(2.0)
            if not self._what_waits(with_whole_kinds=True):
                self._checks.settled_is_right(polled=False)
                break
        faults.quiet = False

    def _calm_down(self) -> None:
        """End all faults, deploy every process anew, and disable every schedule except the polls."""
        town = self._town
        town.faults.quiet = town.faults.over = True
        town.weather.away_until = town.weather.read_only_until = town.weather.locked_until = 0.0
        for vendor in town.vendors.values():
            vendor.refuses_until = vendor.down_until = vendor.hangs_until = 0.0
            if vendor.forbidden:  # a person sees to the scope that is missing, which takes a new token
                vendor.generation += 1
            vendor.forbidden.clear()
        town.note("director", "quiet")
        with town.database.begin() as conn:
            conn.execute(text("UPDATE schedules SET enabled = false WHERE job <> 'poll'"))
        self._deploy_all()

    def _deploy_all(self) -> None:
        town = self._town
        town.closing = True
        for host in town.hosts:
            host.doom = None
            if not host.dead and not host.stopping:
                town.deploy(host)
        for _ in range(60):
            if all(host.dead for host in town.hosts):
                break
            self._stage.pause(1.0)
        for host in list(town.hosts):
            if not host.dead:
                town.end(host)
            town.remove(host, gracefully=True)
        self._stage.pause(9.0)
        town.closing, town.slow = False, True
        town.populate()
        self._stage.spawn("supervisor", town.supervise, None)
        town.person.skew = 0.0

    def _come_to_rest(self) -> None:
        """Wait until every webhook is delivered, nothing is owed, no run is active, and a poll has run since."""
        end = self._stage.now + LONGEST_QUIET
        polled_after = None
        while self._stage.now < end:
            self._release_holds()
            if self._at_rest():
                polled_after = polled_after or self._stage.now
                if self._stage.now - polled_after > 150.0:
                    return
            self._stage.pause(10.0)
        self._checks.find("it does not come to rest: " + self._what_waits())

    def _at_rest(self) -> bool:
        return self._town.post.under_way == 0 and not self._what_waits()

    def _what_waits(self, *, with_whole_kinds: bool = False) -> str:
        """What is owed or active, as text. With ``with_whole_kinds`` also whole kinds that polls owe."""
        questions = {
            "items owed": f"owed_items WHERE {'true' if with_whole_kinds else _AN_ITEM_OR_LEASED}",
            "runs active": "runs WHERE status IN ('idle', 'running')",
            "replays running": "replays WHERE status = 'running'",
            "connections not asked": "connection_states WHERE state IN ('refused', 'unanswered')",
        }
        with self._town.database.read() as conn:
            counts = {
                what: conn.execute(text(f"SELECT count(*) FROM {question}")).scalar_one()
                for what, question in questions.items()
            }
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)

    def _release_holds(self) -> None:
        """Act as a person who looks at each held batch: release it, unless it would delete most of a shop."""
        with self._town.database.begin() as conn:
            for hold in holds.open_(conn):
                kind = Kind(hold.kind)
                there = self._town.shops[hold.connection].rows[kind].keys()
                ended = {row.key for row in held_rows.page(conn, hold.id, kind, limit=10_000) if row.record is None}
                done = holds.DISMISSED if len(there & ended) > len(there) / 2 else holds.RELEASED
                holds.close(conn, hold.id, done)
                self._town.note("person", f"{done} {hold.connection} {kind}")

    def _reconcile(self) -> None:
        """Run everything in full, again while a batch is held, and check the agreement of the last runs."""
        for _ in range(4):
            if not self._run_all():
                break
        for run_id in filter(None, self._runs):
            self._checks.agreement_is_true(run_id)

    def _run_all(self) -> bool:
        """Whether a batch was held, so that the runs must be repeated."""
        self._runs: list[int] = []
        for name in self._town.shops:
            self._runs.append(self._open(name))
        self._come_to_rest()
        with self._town.database.begin() as conn:
            held = [hold.id for hold in holds.open_(conn)]
            released = conn.execute(text("SELECT count(*) FROM holds WHERE state = 'released'")).scalar_one()
        return bool(held or released)

    def _open(self, name: str) -> int:
        for _ in range(30):
            try:
                return request_run(self._town.person.deps, name, Strategy.FULL, Options(), cause="person")
            except Exception:  # refused, or the database is in trouble
                self._stage.pause(20.0)
        self._checks.find(f"no full run of {name} can be started")
        return 0

    def _judge(self) -> None:
        checks = self._checks
        checks.all_equal()
        checks.nothing_unwanted()
        checks.nothing_lost()
        checks.no_letters()
        checks.no_failed_runs()
        checks.nobody_died()
        checks.budgets_kept()
        checks.no_call_in_a_transaction()
