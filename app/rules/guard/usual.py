"""What usually happens in a shop: the guard shows it next to a finding, and accepts what is not much more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median_high
from types import MappingProxyType

from app.rules.guard.findings import Finding

DAYS = 28
"""How many days we look back."""

KNOWN_FROM = 14
"""Known days from which on we know what is usual: a decay of ten days must not count as usual."""

TIMES = 2
"""Rules that only count rows accept up to this many times the usual number."""

COUNTING = frozenset({"zeroed", "zeroed units", "full shelves", "left out", "deactivated"})
"""The rules that only count. The others recognise a disaster by its content, however much is usual."""

NOTHING_KNOWN: Mapping[str, int] = MappingProxyType({})


def usual_of(days: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The median of each number over the days, so that one odd day changes nothing; empty while too few are known."""
    if len(days) < KNOWN_FROM:
        return {}
    names = {name for day in days for name in day}
    return {name: median_high(day.get(name, 0) for day in days) for name in sorted(names)}


def unusual(findings: Iterable[Finding | None], usual: Mapping[str, int]) -> Iterator[Finding]:
    """The findings, each with what is usual; without those of counting rules that found about as much as usual."""
    for finding in findings:
        if finding is None:
            continue
        rows = usual.get(finding.measure)
        if rows is None:
            yield finding
        elif finding.rule not in COUNTING or finding.figures["rows"] > TIMES * rows:
            figures = {**finding.figures, "usually a day": rows}
            yield replace(finding, reason=f"{finding.reason}; usually {rows} a day", figures=figures)
