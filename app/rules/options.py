"""Which options mean something to which strategy: one that a strategy would ignore is refused, with what would be right."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain import Options, Strategy
from app.errors import Refused

_DATED = (
    Strategy.SMART,
    Strategy.INVENTORY,
    Strategy.CRITICAL,
    Strategy.CATEGORY,
    Strategy.RETRY,
)
_DAYS = (Strategy.ORDERS, Strategy.DAILY)
_SOLD = (Strategy.ACTIVE, Strategy.CATALOG, Strategy.INCREMENTAL, Strategy.FULL, Strategy.DAILY)

MEANT_FOR: Mapping[str, tuple[Strategy, ...]] = {
    # What is read by id, or has no time of its own change, cannot be narrowed to a span of time.
    "filter_year": tuple(one for one in Strategy if one not in _DATED),
    "modified_since": tuple(one for one in Strategy if one not in _DATED),
    "active_only": _SOLD,
    "category": (Strategy.CATEGORY,),
    "first": _DAYS,
    "last": _DAYS,
    "deep": (Strategy.FULL,),
}
"""The strategies that heed each option; those that are not named here are heeded by all."""

_SPELLED = {
    "filter_year": "filterYear",
    "modified_since": "modifiedSince",
    "active_only": "activeOnly",
    "first": "from",
    "last": "to",
}


def refuse_ignored(strategy: Strategy, options: Options) -> None:
    """Raises ``Refused`` for options that a run of this strategy would ignore: whoever gave one means something else."""
    for name, strategies in MEANT_FOR.items():
        if getattr(options, name) not in (None, False) and strategy not in strategies:
            raise Refused(f'"{_spelled(name)}" is for {_listed(strategies)}, not for {strategy}')
    if strategy is Strategy.CATEGORY and not options.category:
        raise Refused('strategy category needs "category", an id or a name')
    _refuse_clashes(options)


def _refuse_clashes(options: Options) -> None:
    by_day = options.first is not None or options.last is not None
    if by_day and options.since is not None:
        raise Refused(
            '"from" and "to" name business days, "modifiedSince" and "filterYear" times of change: give one kind'
        )
    if options.deep and options.partial:
        raise Refused('"deep" confirms deletions, which only a complete read can find: leave out what narrows it')


def _spelled(name: str) -> str:
    return _SPELLED.get(name, name)


def _listed(strategies: tuple[Strategy, ...]) -> str:
    names = sorted(strategies)
    return f"strategy {names[0]}" if len(names) == 1 else f"strategies {', '.join(names[:-1])} and {names[-1]}"
