"""Which strategy is worth its calls most: expected staleness removed per API call, judged per kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.domain import Kind, Strategy

COVERS: Mapping[Strategy, tuple[Kind, ...]] = {
    Strategy.INVENTORY: (Kind.STOCK,),
    Strategy.CATALOG: (Kind.PRODUCT,),
    Strategy.ORDERS: (Kind.ORDER,),
    Strategy.LOCATIONS: (Kind.LOCATION,),
    Strategy.CATEGORIES: (Kind.CATEGORY,),
    Strategy.VENDORS: (Kind.VENDOR,),
    Strategy.INCREMENTAL: tuple(Kind),
    Strategy.FULL: tuple(Kind),
}
"""What smart chooses among, and the kinds that each brings up to date."""

NEVER = 30 * 86_400.0
"""Seconds of age given to a kind that was never read."""


@dataclass(frozen=True)
class Facts:
    """What is known of one connection: per kind the seconds since it was last read successfully and how many of its
    rows are expected to change unseen per second; per strategy the calls one run costs."""

    age: Mapping[Kind, float]
    misses_per_second: Mapping[Kind, float]
    calls: Mapping[Strategy, float]


@dataclass(frozen=True)
class Choice:
    """The strategy, and why in words."""

    strategy: Strategy
    reason: str


def choose(facts: Facts, kinds: Sequence[Kind]) -> Choice:
    """The strategy with the most rows expected to be stale that it would mend per call.

    A row that changed unseen at a steady rate since the last read is stale by now with expectation rate times age.
    Ties go to the cheaper strategy.
    """
    scored = []
    for strategy, covered in COVERS.items():
        its = [kind for kind in covered if kind in kinds]
        if its:
            stale = sum(facts.misses_per_second.get(kind, 0.0) * facts.age.get(kind, NEVER) for kind in its)
            calls = max(facts.calls.get(strategy, float(len(its))), 1.0)
            scored.append((stale / calls, -calls, strategy, stale))
    worth, calls, strategy, stale = max(scored)
    return Choice(strategy, _reason(strategy, stale, -calls, worth, facts, kinds))


def _reason(strategy: Strategy, stale: float, calls: float, worth: float, facts: Facts, kinds: Sequence[Kind]) -> str:
    ages = [f"{kind} {_spoken(facts.age.get(kind, NEVER))}" for kind in COVERS[strategy] if kind in kinds]
    return (
        f"{strategy}: about {stale:.1f} rows expected stale (last read: {', '.join(ages)} ago) "
        f"for about {calls:.0f} calls, {worth:.2f} a call: more than any other strategy"
    )


def _spoken(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
