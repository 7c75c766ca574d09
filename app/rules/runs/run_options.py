"""Which options each strategy accepts: an option that it would ignore is refused, because its caller expects an effect."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

import msgspec

from app.domain import Options, Strategy
from app.errors import InvalidOptions, InvalidRequest

ALWAYS = ("dryRun", "limit", "force")
"""Accepted by every strategy."""

_TIMES = ("filterYear", "modifiedSince")
_DAYS = ("from", "to")

ACCEPTED: Mapping[Strategy, Collection[str]] = {
    Strategy.INCREMENTAL: _TIMES,
    Strategy.ACTIVE: ("activeOnly", *_TIMES),
    Strategy.CATEGORY: ("category",),
    Strategy.FULL: ("activeOnly", "deep", *_TIMES),
    Strategy.ORDERS: (*_TIMES, *_DAYS),
    Strategy.CATALOG: ("activeOnly", *_TIMES),
    Strategy.DAILY: ("activeOnly", *_TIMES, *_DAYS),
}
"""Options that a strategy also accepts. Smart accepts the options that all strategies accept among which it chooses."""


def check_options(strategy: Strategy, options: Options) -> None:
    """Raises ``InvalidOptions`` for an option that the strategy, or another option, would make meaningless."""
    given = _given(options)
    for name in given:
        if name not in ALWAYS and name not in ACCEPTED.get(strategy, ()):
            accepting = [str(strategy_name) for strategy_name, names in ACCEPTED.items() if name in names]
            strategies = f"strategy {accepting[0]}" if len(accepting) == 1 else f"strategies {_listed(accepting)}"
            raise InvalidOptions(f'"{name}" is for {strategies}, not for {strategy}')
    if strategy is Strategy.CATEGORY and not options.category:
        raise InvalidOptions('strategy category needs "category", an id, a name or a path')
    if options.deep and options.partial:
        raise InvalidOptions(
            f'"deep" confirms deletions, which a read narrowed by {_quoted(given, "deep")} never finds'
        )
    if (options.first or options.last) and options.since is not None:
        raise InvalidOptions(
            '"from" and "to" are business days; they cannot be narrowed by "filterYear" or "modifiedSince"'
        )
    if options.since is not None and options.until is not None and options.since > options.until:
        raise InvalidOptions(f'"modifiedSince" is after "filterYear" {options.filter_year}: nothing would be read')


def check_category(category: str, known: Collection[str]) -> None:
    """Raises ``InvalidRequest`` with the nearest names for a category that is not among the known ids and names."""
    if category in known:
        return
    if not known:
        raise InvalidRequest(f"no category {category!r}; none is known yet")
    if near := _near(category.strip().casefold(), known):
        raise InvalidRequest(f"no category {category!r}; did you mean {' or '.join(map(repr, near))}?")
    raise InvalidRequest(f"no category {category!r}; none of the {len(known)} names and ids known is near it")


def _near(text: str, known: Collection[str]) -> list[str]:
    """At most three names: those with a similar spelling, then those that contain the text, the shortest first."""
    folded = {name: name.casefold() for name in sorted(known, key=lambda name: (len(name), name))}
    close = get_close_matches(text, set(folded.values()), n=3, cutoff=0.5)
    alike = [name for one in close for name, spelled in folded.items() if spelled == one]
    longer = [name for name, spelled in folded.items() if text and text in spelled and name not in alike]
    return [*alike, *longer][:3]


def _given(options: Options) -> list[str]:
    """The names of the options that are set, as people write them."""
    fields = msgspec.structs.fields(Options)
    return [field.encode_name for field in fields if getattr(options, field.name) not in (None, False)]


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _quoted(given: Sequence[str], but: str) -> str:
    return " and ".join(f'"{name}"' for name in given if name != but and name not in ("dryRun", "force"))
