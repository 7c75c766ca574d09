"""Chooses the strategy of a smart run by the ages, misses and prices that earlier runs left in the database."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import mean

from app.domain import Kind, Strategy
from app.flows.connections.health import readable
from app.flows.deps import Deps
from app.rules.runs.smart import Choice, Facts, brings_up_to_date, choose, is_a_price
from app.stores.runs import drift, runs
from app.stores.runs.run_row import Run

LOOKED_BACK = timedelta(days=7)
LEAST_MISSES = 1 / 86_400
"""Rows a second that we assume to change unseen where nothing is known: one a day."""


def choose_smart(deps: Deps, connection: str) -> Choice:
    """The strategy that is worth most now, and why; kinds that may not be read are left out."""
    now = deps.now()
    with deps.database.read() as conn:
        earlier = runs.completed(conn, connection)
        missed = drift.missed(conn, connection, now - LOOKED_BACK)
    kinds = readable(deps, connection, deps.sources[connection].kinds) or deps.sources[connection].kinds
    age = {kind: (now - moment).total_seconds() for kind, moment in last_reads(earlier).items()}
    misses = {kind: max(missed.get(kind, 0) / LOOKED_BACK.total_seconds(), LEAST_MISSES) for kind in Kind}
    return choose(Facts(age, misses, prices(earlier)), kinds)


def last_reads(earlier: Sequence[Run]) -> dict[Kind, datetime]:
    """When completed runs (newest first) last brought each kind up to date."""
    last: dict[Kind, datetime] = {}
    for run in earlier:
        for kind in brings_up_to_date(run.chosen_strategy, run.options):
            counts = run.counts.get(kind)
            if counts is not None and not counts.forbidden and not counts.error and run.finished_at is not None:
                last.setdefault(kind, run.finished_at)
    return last


def prices(earlier: Sequence[Run]) -> dict[Strategy, float]:
    """The average number of upstream calls of each strategy, runs for which smart chose it included."""
    calls: defaultdict[Strategy, list[int]] = defaultdict(list)
    for run in earlier:
        if is_a_price(run.chosen_strategy, run.options):
            calls[run.chosen_strategy].append(run.calls)
    return {strategy: mean(taken) for strategy, taken in calls.items()}
