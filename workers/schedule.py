"""The clock: fires what is due and sweeps what is overdue, about once a second; any number may run."""

from __future__ import annotations

import signal
import threading

import structlog

from app import wiring
from app.config import Settings
from app.errors import TallyhookError
from app.flows.beat import beat
from app.flows.deps import Deps
from app.flows.heal import heal_gaps
from app.flows.request_run import check_stuck
from app.flows.sweep import sweep
from app.flows.tick import first_load, plan, tick
from app.stores.settled import sum_slots

EVERY = 1.0  # seconds

log = structlog.get_logger()


def run_clock(settings: Settings) -> None:
    """Tick until SIGTERM or SIGINT. A failing tick is logged and tried again: the clock must not die silently."""
    deps = wiring.build(settings, "clock")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    plan(deps, poll=settings.poll_cron, reconcile=settings.reconcile_cron, timezone=settings.timezone)
    first_load(deps)
    _heal(deps)
    log.info("clock_started", connections=sorted(deps.sources))
    while not stopping.wait(EVERY):
        _tick(deps)
    deps.database.close()


def _heal(deps: Deps) -> None:
    try:
        heal_gaps(deps)
    except TallyhookError as error:  # the polls will see what the ledger could not tell
        log.warning("gap_not_healed", error=str(error))


def _tick(deps: Deps) -> None:
    try:
        beat(deps, "clock")
        tick(deps)
        sweep(deps)
        check_stuck(deps)
        sum_slots(deps.database, deps.now())
    except Exception as error:  # see run_clock
        log.error("tick_failed", error=f"{type(error).__name__}: {error}")
