"""Which strategy is worth most: the expected staleness that it removes per API call, judged per kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import NamedTuple

from app.domain import Kind, Options, Strategy

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
"""The strategies among which smart chooses, and the kinds that each brings up to date."""

_REFRESHES: Mapping[Strategy, tuple[Kind, ...]] = {
    **COVERS,
    Strategy.DAILY: tuple(kind for kind in Kind if kind is not Kind.STOCK),
}

NEVER = 30 * 86_400.0
"""Seconds of age given to a kind that was never read."""


AS_MUCH = 0.01
"""Strategies whose worth differs by less than this share are worth the same: a run reads its kinds one after the other."""


def brings_up_to_date(strategy: Strategy, options: Options) -> tuple[Kind, ...]:
    """The kinds that such a run has read completely at its end: none where its strategy or an option selects some rows."""
    return () if options.partial or options.first or options.last else _REFRESHES.get(strategy, ())


def is_a_price(strategy: Strategy, options: Options) -> bool:
    """Whether the calls of such a run are the price of its strategy."""
    return bool(brings_up_to_date(strategy, options)) and not options.deep


@dataclass(frozen=True)
class Facts:
    """What is known of one connection: per kind the seconds since it was last read successfully and how many of its
    rows are expected to change unseen per second; per strategy the calls one run costs."""

    age: Mapping[Kind, float]
    misses_per_second: Mapping[Kind, float]
    calls: Mapping[Strategy, float]


@dataclass(frozen=True)
class Choice:
    """The strategy, and a sentence that says why."""

    strategy: Strategy
    reason: str


def choose(facts: Facts, kinds: Sequence[Kind]) -> Choice:
    """The strategy that would refresh the most expected stale rows per call.

    A row that changed unseen at a steady rate since the last read is stale by now with expectation rate times age.
    Ties (``AS_MUCH``) go to the cheapest strategy.
    """
    if not any(kind in facts.age for kind in kinds):
        return Choice(
            Strategy.FULL, f"{Strategy.FULL}: no run has read anything yet; it takes at least {len(kinds)} calls"
        )
    scored = []
    for strategy, covered in COVERS.items():
        its = [kind for kind in covered if kind in kinds]
        if its:
            stale = sum(facts.misses_per_second.get(kind, 0.0) * facts.age.get(kind, NEVER) for kind in its)
            calls = max(facts.calls.get(strategy, float(len(its))), 1.0)
            scored.append(_Score(strategy, stale / calls, calls, stale))
    most = max(score.worth for score in scored)
    alike = [score for score in scored if isclose(score.worth, most, rel_tol=AS_MUCH)]
    best = min(alike, key=lambda score: (score.calls, -score.worth))
    return Choice(
        best.strategy, _reason(best, [score.strategy for score in alike if score is not best], facts, kinds)
    )


class _Score(NamedTuple):
    """A strategy; ``worth`` is in rows per call."""

    strategy: Strategy
    worth: float
    calls: float
    stale: float


def _reason(best: _Score, equal: Sequence[Strategy], facts: Facts, kinds: Sequence[Kind]) -> str:
    ages = [_last_read(kind, facts.age.get(kind)) for kind in COVERS[best.strategy] if kind in kinds]
    compared = f"as much as {', '.join(equal)}" if equal else "more than any other strategy"
    return (
        f"{best.strategy}: about {best.stale:.1f} rows expected stale (last read: {', '.join(ages)}) "
        f"for {_calls(best, facts)}, {best.worth:.2f} a call: {compared}"
    )


def _calls(best: _Score, facts: Facts) -> str:
    """The price of a strategy in words: "at least" so many calls if the strategy never ran."""
    about = "about" if best.strategy in facts.calls else "at least"
    return f"{about} {best.calls:.0f} {'call' if round(best.calls) == 1 else 'calls'}"


def _last_read(kind: Kind, age: float | None) -> str:
    return f"{kind} never" if age is None else f"{kind} {_spoken(age)} ago"


def _spoken(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
