"""Sums up a preview in one sentence: "32 new products; quantity 4 to 0 on 3 items; 2 would fail: RateLimited"."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

MAX_CHANGES = 5
"""Different changes that are listed one by one."""

_UNLISTED = frozenset({"version", "modified_at", "mentions", "extra"})
"""Fields that change with every edit and say nothing to a person."""


class Row(NamedTuple):
    """A row that would be written; ``fields`` is ``{field: [before, after]}``."""

    kind: str
    change: str
    fields: Mapping[str, Sequence[Any]]


def summed(rows: Sequence[Row], outcomes: Iterable[str]) -> str:
    """``outcomes`` is per item "changes", "nothing", "gone", "late", "cannot say" or "fails: <type>"."""
    changes = [
        *(f"{count:,} new {_plural(kind, count)}" for kind, count in _kinds(rows, "missing")),
        *(f"{count:,} {_plural(kind, count)} deleted" for kind, count in _kinds(rows, "vanished")),
        *_differing(row.fields for row in rows if row.change not in ("missing", "vanished")),
    ]
    return "; ".join([*changes, *_rest(Counter(outcomes))]) or "nothing to preview"


def _kinds(rows: Sequence[Row], change: str) -> list[tuple[str, int]]:
    return Counter(row.kind for row in rows if row.change == change).most_common()


def _plural(kind: str, count: int) -> str:
    one = "stock row" if kind == "stock" else kind
    if count == 1:
        return one
    return f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"


def _differing(fields: Iterable[Mapping[str, Sequence[Any]]]) -> list[str]:
    changes: Counter[tuple[str, str, str]] = Counter()
    for row in fields:
        for name, (before, after) in row.items():
            if name not in _UNLISTED:
                changes[name, _short(before), _short(after)] += 1
    listed = [_change(*change, count) for change, count in changes.most_common(MAX_CHANGES)]
    if len(changes) > MAX_CHANGES:
        listed.append(f"and {len(changes) - MAX_CHANGES} other changes")
    return listed


def _change(name: str, before: str, after: str, count: int) -> str:
    return f"{name.replace('_', ' ')} {before} to {after} on {count} {'item' if count == 1 else 'items'}"


def _rest(outcomes: Counter[str]) -> list[str]:
    words = {
        "nothing": "{} would not change",
        "gone": "{} gone at the source",
        "late": "{} not readable there yet",
        "cannot say": "{} cannot be previewed",
    }
    unchanged = [words[outcome].format(outcomes[outcome]) for outcome in words if outcomes[outcome]]
    failing = Counter({one.removeprefix("fails: "): n for one, n in outcomes.items() if one.startswith("fails: ")})
    return unchanged + [f"{count} would fail: {error}" for error, count in failing.most_common()]


def _short(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
