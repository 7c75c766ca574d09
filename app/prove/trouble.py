"""The troublemakers of a simulation: each is a thread that waits, then does harm, until all is quiet."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

from app.domain import Change, Kind, Options, Strategy
from app.errors import TallyhookError
from app.flows.letters.replay import replay_letters
from app.flows.runs.request_run import cancel_run, request_item, request_run, resume_run
from app.prove import harm
from app.prove.compare import rows_here
from app.prove.database import Doom
from app.prove.faults import Dial
from app.prove.life import Merchant
from app.prove.shop import KINDS, Shop
from app.prove.town import LARGEST_SKEW, Town
from app.stores.letters import dead_letters
from app.stores.runs import runs
from app.stores.sql.engine import DATABASE_ERRORS

STRATEGIES = (
    Strategy.FULL,
    Strategy.FULL,
    Strategy.INCREMENTAL,
    Strategy.INVENTORY,
    Strategy.CATALOG,
    Strategy.ORDERS,
    Strategy.CRITICAL,
    Strategy.RETRY,
    Strategy.DAILY,
    Strategy.ACTIVE,
    Strategy.SMART,
    Strategy.VENDORS,
    Strategy.LOCATIONS,
)


Action = Callable[[], bool | None]
"""Does harm; ``False``: not this time."""


class Trouble:
    """Starts everything that the seed's dials ask for."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._rng = town.rng
        self._stage = town.stage
        self._faults = town.faults

    def begin(self) -> None:
        """Start the merchants, and a thread for every dial that needs one."""
        for shop in self._town.shops.values():
            self._stage.spawn(f"merchant {shop.style.name}", partial(self._trade, shop), None)
        for dial, (mean, action) in self._actions().items():
            strength = self._faults.on.get(dial)
            if strength is not None:
                self._stage.spawn(str(dial), partial(self._again, mean / strength, dial, action), None)

    def _actions(self) -> dict[Dial, tuple[float, Action]]:
        """For each dial the mean seconds between two actions at full strength, and the action."""
        return {
            Dial.HOOKS_FOREIGN: (20.0, self._send_foreign),
            Dial.QUEUE_FLUSHED: (25.0, self._flush),
            Dial.KILLED: (15.0, self._kill),
            Dial.STOPPED: (30.0, self._stop),
            Dial.DEPLOYED: (25.0, self._deploy),
            Dial.DB_READ_ONLY: (60.0, lambda: self._weather("read_only_until", 1.0, 20.0)),
            Dial.DB_LOCKED: (60.0, lambda: self._weather("locked_until", 1.0, 60.0)),
            Dial.DB_AWAY: (60.0, lambda: self._weather("away_until", 0.5, 60.0)),
            Dial.CLOCK_JUMPS: (30.0, self._jump),
            Dial.BAD_RECORDS: (15.0, self._spoil),
            Dial.FUTURE_RECORDS: (25.0, self._misdate),
            Dial.VENDOR_401: (60.0, lambda: self._vendor("refuses_until", 5.0, 90.0)),
            Dial.VENDOR_403: (60.0, self._forbid),
            Dial.VENDOR_5XX: (60.0, lambda: self._vendor("down_until", 5.0, 90.0)),
            Dial.VENDOR_HANGS: (60.0, lambda: self._vendor("hangs_until", 5.0, 60.0)),
            Dial.CREDENTIALS_CHANGED: (60.0, self._change_credentials),
            Dial.STORMS: (50.0, self._storm),
            Dial.RUNS: (25.0, self._run),
            Dial.RUNS_CANCELLED: (20.0, self._cancel),
            Dial.RUNS_RESUMED: (20.0, self._resume),
            Dial.DRY_RUNS: (40.0, self._dry_run),
            Dial.REPLAYS: (30.0, self._replay),
        }

    def _again(self, mean: float, dial: Dial, action: Action) -> None:
        while True:
            self._stage.pause(self._rng.expovariate(1 / mean))
            if self._faults.over:
                return
            if self._town.hosts and not self._faults.quiet and action() is not False:  # all may be gone for a moment
                self._faults.seen[dial] += 1

    # the shop

    def _trade(self, shop: Shop) -> None:
        merchant, mean = Merchant(shop), self._rng.choice((1.0, 2.5, 6.0))
        while True:
            again = self._rng.random() < 0.35
            self._stage.pause(self._rng.uniform(0.0, 0.7) if again else self._rng.expovariate(1 / mean))
            if self._faults.over:
                return
            if not self._faults.quiet:
                self._edit(shop, merchant.edit_again if again else merchant.edit)

    def _edit(self, shop: Shop, action: Callable[[], list[Change]]) -> None:
        before = len(shop.edits)
        hooks = self._town.post.announce(shop, action())
        for edit in shop.edits[before:]:
            lost = any(hook.lost for hook in hooks)
            ids = [f"{shop.style.name}/{id}" for id in dict.fromkeys((edit.item, edit.key[0]))]
            what = "removed" if edit.record is None else "edited"
            self._town.note(shop.style.name, f"{what} {edit.kind}{', webhook lost' if lost else ''}", ids)

    def _storm(self) -> None:
        shop = self._some_shop()
        for item in sorted(shop.items[Kind.PRODUCT]):
            for record in shop.of_item(Kind.PRODUCT, item)[:1]:
                self._town.post.announce(shop, [shop.put(record)])

    def _some_shop(self) -> Shop:
        return self._town.shops[self._rng.choice(sorted(self._town.shops))]

    def _spoil(self) -> None:
        """A record goes bad, and its webhook says only that it changed; or a bad record becomes good again."""
        shop = self._some_shop()
        if shop.bad and self._rng.random() < 0.4:
            kind, key = self._rng.choice(sorted(shop.bad))
            del shop.bad[kind, key]
            shop.held_before.discard((kind, key))
        else:
            kind = self._rng.choice(KINDS)
            key = self._rng.choice(sorted(shop.rows[kind]))
            shop.bad[kind, key] = harm.drawn(self._rng, shop.rows[kind][key])
            with self._town.database.read() as conn:
                if shop.bad[kind, key].unreadable and key in rows_here(conn, shop.style.name, kind):
                    shop.held_before.add((kind, key))
            shop.ever_bad.add((kind, key[0]))
            shop.ever_bad.add((kind, shop.item_of(shop.rows[kind][key])))
        self._town.post.announce(shop, [shop.put(shop.rows[kind][key])])
        self._town.note(
            shop.style.name,
            f"{kind} {'spoiled' if (kind, key) in shop.bad else 'mended'}",
            [f"{shop.style.name}/{key[0]}"],
        )

    def _misdate(self) -> None:
        """A wrong clock: a record is dated hours to a year ahead."""
        shop = self._some_shop()
        kind = self._rng.choice([one for one in KINDS if one not in shop.style.whole])
        key = self._rng.choice(sorted(shop.rows[kind]))
        ahead = timedelta(seconds=self._rng.choice((10_800.0, 86_400.0, 400 * 86_400.0)))
        shop.ever_ahead.add((kind, shop.item_of(shop.rows[kind][key])))
        self._town.post.announce(shop, [shop.put(shop.rows[kind][key], ahead=ahead)])
        self._town.note(shop.style.name, f"{kind} dated {ahead} ahead", [f"{shop.style.name}/{key[0]}"])

    def _send_foreign(self) -> None:
        self._town.post.send_foreign(self._some_shop())

    # processes

    def _kill(self) -> bool:
        """Doom a process to die at a point of its work; the fault is counted when it dies."""
        host = self._rng.choice(self._town.hosts)
        host.doom = Doom(self._rng.choice(("before", "within", "after", "after")), self._rng.randint(0, 15))
        self._town.note(host.name, f"doomed: {host.doom.where} transaction {host.doom.after}")
        return False

    def _stop(self) -> None:
        host = self._rng.choice(self._town.hosts)
        seconds = self._rng.uniform(8.0, 45.0)
        self._town.note(host.name, f"stopped for {seconds:.1f} s")
        self._stage.stop(host, seconds)

    def _deploy(self) -> bool:
        hosts = [host for host in self._town.hosts if not host.dead and not host.stopping]
        if not hosts:
            return False
        self._town.deploy(self._rng.choice(hosts))
        return True

    def _flush(self) -> None:
        self._town.note("queue", "flushed")
        self._town.messages.flush()

    def _jump(self) -> None:
        host = self._rng.choice(self._town.hosts)
        host.skew = self._rng.uniform(-LARGEST_SKEW, LARGEST_SKEW)
        self._town.note(host.name, f"clock jumps to {host.skew:+.1f} s")

    # what they stand on

    def _weather(self, what: str, least: float, most: float) -> None:
        self._lasting(self._town.weather, "database", what, least, most)

    def _vendor(self, what: str, least: float, most: float) -> None:
        name = self._rng.choice(sorted(self._town.vendors))
        self._lasting(self._town.vendors[name], name, what, least, most)

    def _lasting(self, whose: object, name: str, what: str, least: float, most: float) -> None:
        seconds = self._rng.uniform(least, most)
        self._town.note(name, f"{what.removesuffix('_until').replace('_', ' ')} for {seconds:.1f} s")
        setattr(whose, what, self._stage.now + seconds)

    def _forbid(self) -> None:
        name, kind = self._rng.choice(sorted(self._town.vendors)), self._rng.choice(KINDS)
        self._town.vendors[name].forbidden[kind] = self._stage.now + self._rng.uniform(10.0, 120.0)
        self._town.note(name, f"forbids {kind}")

    def _change_credentials(self) -> None:
        """The old credentials are refused from now on; processes get the new ones one after the other."""
        name = self._rng.choice(sorted(self._town.vendors))
        self._town.vendors[name].generation += 1
        self._town.note(name, "credentials changed")
        for host in [one for one in self._town.hosts if not one.dead and not one.stopping]:
            self._stage.pause(self._rng.uniform(0.0, 5.0))
            if not host.dead and not host.stopping:
                self._town.deploy(host)

    # people

    def _run(self) -> bool:
        strategy = self._rng.choice(STRATEGIES)
        options = Options(deep=strategy is Strategy.FULL and self._rng.random() < 0.3)
        return self._asked(lambda: self._start(strategy, options))

    def _dry_run(self) -> bool:
        strategy = self._rng.choice((Strategy.FULL, Strategy.CATALOG, Strategy.INCREMENTAL))
        return self._asked(lambda: self._start(strategy, Options(dry_run=True)))

    def _start(self, strategy: Strategy, options: Options) -> None:
        name = self._rng.choice(sorted(self._town.shops))
        request_run(self._town.person.deps, name, strategy, options, cause="person")
        self._town.note("person", f"starts {strategy} of {name}{' (dry)' if options.dry_run else ''}")

    def _cancel(self) -> bool:
        return self._of_a_run(("idle", "running"), cancel_run)

    def _resume(self) -> bool:
        return self._of_a_run(("failed", "cancelled"), resume_run)

    def _of_a_run(self, states: tuple[str, ...], action: Callable[..., object]) -> bool:
        deps = self._town.person.deps

        def do() -> None:
            with deps.database.read() as conn:
                found = [run for run in runs.latest(conn, limit=6) if run.status in states]
            if found:
                action(deps, found[0].connection, found[0].id)
                self._town.note("person", f"{action.__name__} {found[0].id}")

        return self._asked(do)

    def _replay(self) -> bool:
        shop = self._some_shop()
        rows = shop.rows[Kind.PRODUCT]

        def do() -> None:
            deps = self._town.person.deps
            with deps.database.read() as conn:
                dead = dead_letters.count(conn)
            if dead:
                replay_letters(deps, f"connection:{shop.style.name}", "what died", canary=False)
            elif rows:
                request_item(deps, shop.style.name, shop.item_of(rows[self._rng.choice(sorted(rows))]), Kind.PRODUCT)

        return self._asked(do)

    def _asked(self, what: Callable[[], None]) -> bool:
        """Do what a person asked for; it may be refused, or meet a database in trouble."""
        with suppress(TallyhookError, *DATABASE_ERRORS):
            what()
            return True
        return False
