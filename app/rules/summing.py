"""What a preview comes to, in one sentence: "quantity 4 to 0 on 3 items; 2 would fail: RateLimited"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MOST_TOLD = 5
"""Different changes that are told one by one."""

_NOT_TOLD = frozenset({"version", "modified_at", "extra"})
"""Fields that change with every edit and say nothing to a person."""


def summed(fields: Iterable[Mapping[str, Sequence[Any]]], outcomes: Iterable[str]) -> str:
    """``fields`` is per row ``{field: [before, after]}``; ``outcomes`` per item "changes", "nothing", "gone", "late",
    "cannot say" or "fails: <type>"."""
    changes: Counter[tuple[str, str, str]] = Counter()
    for row in fields:
        for name, (before, after) in row.items():
            if name not in _NOT_TOLD:
                changes[name, _told(before), _told(after)] += 1
    told = [_change(*change, count) for change, count in changes.most_common(MOST_TOLD)]
    if len(changes) > MOST_TOLD:
        told.append(f"and {len(changes) - MOST_TOLD} other changes")
    return "; ".join([*told, *_rest(Counter(outcomes))]) or "nothing to preview"


def _change(name: str, before: str, after: str, count: int) -> str:
    return f"{name.replace('_', ' ')} {before} to {after} on {count} {'item' if count == 1 else 'items'}"


def _rest(outcomes: Counter[str]) -> list[str]:
    words = {
        "nothing": "{} would not change",
        "gone": "{} gone at the source",
        "late": "{} not readable there yet",
        "cannot say": "{} cannot be previewed",
    }
    told = [words[outcome].format(outcomes[outcome]) for outcome in words if outcomes[outcome]]
    failing = Counter({one.removeprefix("fails: "): n for one, n in outcomes.items() if one.startswith("fails: ")})
    return told + [f"{count} would fail: {error}" for error, count in failing.most_common()]


def _told(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
