"""Gathers what a smart run decides by: ages, misses and prices, all from what earlier runs left in the database."""

from __future__ import annotations

from app.domain import Kind
from app.flows.deps import Deps
from app.flows.health import readable
from app.rules.smart import Choice, Facts, choose
from app.stores import runs

LOOKED_BACK = 7 * 86_400.0
LEAST_MISSES = 1 / 86_400
"""Rows a second that are taken to change unseen where nothing is known: one a day."""


def choose_smart(deps: Deps, connection: str) -> Choice:
    """The strategy for this moment, and why; kinds that may not be read count for nothing."""
    now = deps.now()
    with deps.database.read() as conn:
        last = runs.last_success(conn, connection)
        missed = runs.missed(conn, connection, now, LOOKED_BACK)
        calls = runs.mean_calls(conn, connection)
    kinds = readable(deps, connection, deps.sources[connection].kinds) or deps.sources[connection].kinds
    age = {kind: (now - moment).total_seconds() for kind, moment in last.items()}
    misses = {kind: max(missed.get(kind, 0) / LOOKED_BACK, LEAST_MISSES) for kind in Kind}
    return choose(Facts(age, misses, calls), kinds)
