"""The clock: fires what is due and sweeps what is overdue, about once a second; any number may run."""

import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from functools import partial

import structlog

from app import wiring
from app.config import Settings
from app.errors import DatabaseFault
from app.flows.access.audit_archive import FOLDER
from app.flows.access.sign_in_places import sum_up
from app.flows.catalog.past import DAYS, read_past_in_thread
from app.flows.connections.identity import find_accounts
from app.flows.connections.probes import probe_in_background
from app.flows.deps import Deps
from app.flows.inbox import outages
from app.flows.isolated import isolated
from app.flows.items.sweep import sweep
from app.flows.reports.metrics import sum_settled
from app.flows.runs.correct_reasons import correct_reasons
from app.flows.runs.request_run import check_stuck
from app.flows.runs.spot_checks import spot_check_in_thread
from app.flows.subscribers.deliver import deliver_in_background
from app.flows.upkeep import alerts, connection_alerts
from app.flows.upkeep.heartbeat import await_database, record_heartbeat, record_stop
from app.flows.upkeep.retention import Keep, prune
from app.flows.upkeep.tick import first_load, plan, tick
from app.local.stop_signal import StopSignal, on_stop_signal

EVERY = 1.0  # seconds

Round = tuple[float, Callable[[Deps], object]]

ROUNDS: Mapping[str, Round] = {
    "gaps": (20.0, outages.watch),
    "alerts": (30.0, alerts.watch),
    "connections": (5.0, connection_alerts.watch_connections),
    "probes": (1.0, probe_in_background),
    "subscriptions": (900.0, alerts.check_subscriptions),
    "accounts": (900.0, find_accounts),
    "mail": (5.0, alerts.notify),
    "subscribers": (1.0, deliver_in_background),
    "reasons": (300.0, correct_reasons),
}
"""What every clock does, and every how many seconds."""

log = structlog.get_logger()


def run_clock(settings: Settings) -> None:
    """Tick until SIGTERM or SIGINT. A failing tick is logged and tried again: the clock must not die silently."""
    deps = wiring.build(settings, "clock")
    stopping = on_stop_signal()
    if _await_begin(deps, settings, stopping):
        rounds = Rounds(deps, rounds_of(settings))
        log.info("clock_started", connections=sorted(deps.sources))
        began = deps.now()
        while not stopping.wait(EVERY):
            tick_once(deps, began)
            rounds.go()
        record_stop(deps)
    deps.database.close()


def _await_begin(deps: Deps, settings: Settings, stopping: StopSignal) -> bool:
    """Wait until the database answers and the jobs are planned; ``False`` when a signal came before."""
    while await_database(deps, stopping):
        if _begun(deps, settings):
            return True
        stopping.wait(EVERY)
    return False


def _begun(deps: Deps, settings: Settings) -> bool:
    """Plan the jobs and start the first load of a new installation; ``False`` when the database failed meanwhile."""
    try:
        plan(deps, poll=settings.poll_cron, reconcile=settings.reconcile_cron, timezone=settings.timezone)
        first_load(deps)
    except DatabaseFault:
        return False
    return True


def rounds_of(settings: Settings) -> Mapping[str, Round]:
    """What the clock of this installation does, and every how many seconds."""
    keep = Keep(**{field.name: getattr(settings, f"keep_{field.name}_days") for field in fields(Keep)})
    old = partial(
        prune,
        letters_days=settings.keep_letters_days,
        inbox_days=settings.keep_inbox_days,
        keep=keep,
        archives=settings.data_dir / FOLDER,
    )
    checks = partial(spot_check_in_thread, rows=settings.spot_checks)
    past = partial(read_past_in_thread, days=min(DAYS, keep.history or DAYS))
    return {
        **ROUNDS,
        "retention": (600.0, old),
        "spot checks": (60.0, checks),
        "sign-ins": (60.0, sum_up),
        "past": (10.0, past),
    }


class Rounds:
    """Calls each round when it is due; one that fails is logged and comes again."""

    def __init__(self, deps: Deps, rounds: Mapping[str, Round]) -> None:
        self._deps = deps
        self._rounds = rounds
        self._due = dict.fromkeys(rounds, 0.0)

    def go(self) -> None:
        """Call the rounds that are due."""
        for name, (every, work) in self._rounds.items():
            if time.monotonic() >= self._due[name]:
                self._due[name] = time.monotonic() + every
                try:
                    work(self._deps)
                except DatabaseFault:  # logged once, by the database
                    self._due[name] = 0.0
                except Exception as error:  # see run_clock
                    log.warning("round_failed", round=name, error=f"{type(error).__name__}: {error}")


def tick_once(deps: Deps, began: datetime | None) -> None:
    """What the clock does about once a second; ``began`` is when it started (``check_stuck``)."""
    steps: dict[str, Callable[[], object]] = {
        "tick": partial(tick, deps),
        "sweep": partial(sweep, deps),
        "stuck runs": partial(check_stuck, deps, alive_since=began),
        "sums": partial(sum_settled, deps),
    }
    try:
        record_heartbeat(deps, "clock")
        isolated(lambda name: steps[name](), steps, event="tick_failed")
    except DatabaseFault:  # logged once, by the database
        return
    except Exception as error:  # see run_clock
        log.error("tick_failed", error=f"{type(error).__name__}: {error}")
