"""The one filter grammar of API, terminal and pages: ``connection:shop cause:RateLimited item:SKU-1 since:2h``.

A filter is a list of terms separated by blanks, all of which must hold. A term is ``key:value``; ``-key:value`` negates
it; ``key:one,two`` means one or the other. A value with blanks, commas or colons goes into double quotes, where ``\\"``
is a quote; ``item:SKU-*`` matches a prefix. Moments are ``2h`` ago (``s``, ``m``, ``h``, ``d``, ``w``) or ISO 8601, in
UTC unless they name an offset.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

MAX_LENGTH = 2_000
"""Characters of a filter."""

MAX_TERMS = 20
MAX_VALUES = 100
"""Values of a term. A database plans a condition for each: with 331 of them a statement had 95 KB."""

_TERM = re.compile(r'\s*(?P<no>-?)(?P<key>[A-Za-z_]+):(?P<values>(?:"(?:\\.|[^"\\])*"|[^\s"])+)(?=\s|$)')
_VALUE = re.compile(r'"((?:\\.|[^"\\])*)"|([^,"]+)|(,)')
_AGO = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class FilterError(ValueError):
    """A filter that is not valid; the message says what would be right."""


@dataclass(frozen=True)
class Term:
    """One condition: the field ``key`` has one of ``values`` (has none of them, if ``negated``)."""

    key: str
    values: tuple[str, ...]
    negated: bool = False


def parse(text: str, keys: Sequence[str]) -> tuple[Term, ...]:
    """The terms of a filter with these keys; a blank filter has none. Raises ``FilterError``."""
    if len(text) > MAX_LENGTH:
        raise FilterError(f"a filter may have at most {MAX_LENGTH} characters")
    terms: list[Term] = []
    at = 0
    while text[at:].strip():
        match = _TERM.match(text, at)
        if match is None:
            known = ", ".join(keys)
            raise FilterError(f"cannot read {text[at:].strip()[:40]!r}; right would be key:value with {known}")
        if len(terms) == MAX_TERMS:
            raise FilterError(
                f"a filter may have at most {MAX_TERMS} terms; several values of one key are key:one,two"
            )
        terms.append(Term(_key(match["key"], keys), _values(match["key"], match["values"]), bool(match["no"])))
        at = match.end()
    return tuple(terms)


def spelled(terms: Iterable[Term]) -> str:
    """The terms as text, from which ``parse`` makes the same terms."""
    return " ".join(
        f"{'-' if term.negated else ''}{term.key}:{','.join(map(_quoted, term.values))}" for term in terms
    )


def moment_of(value: str, now: datetime) -> datetime:
    """The aware UTC moment that ``2h`` (ago) or ISO 8601 text means. Raises ``FilterError``."""
    ago = _AGO.fullmatch(value.strip())
    try:
        if ago:
            return now - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise FilterError(f"{value!r} is not a moment; right would be 2h, 3d or 2026-11-22T08:00") from None


def choice_of(key: str, value: str, choices: Sequence[str]) -> str:
    """The choice that equals the value, upper or lower case. Raises ``FilterError``, which suggests the nearest one."""
    folded = {choice.casefold(): choice for choice in choices}
    if value in choices or value.casefold() in folded:
        return value if value in choices else folded[value.casefold()]
    raise FilterError(f"{key} has no {value!r};{_nearest(value, choices)} use one of: {', '.join(choices)}")


def _key(key: str, keys: Sequence[str]) -> str:
    lower = key.lower()
    if lower in keys:
        return lower
    raise FilterError(f"unknown key {key!r};{_nearest(lower, keys)} use one of: {', '.join(keys)}")


def _nearest(word: str, words: Sequence[str]) -> str:
    close = get_close_matches(word, words, n=1, cutoff=0.5)
    return f" did you mean '{close[0]}'?" if close else ""


def _values(key: str, text: str) -> tuple[str, ...]:
    values: list[str] = []
    value_expected = True
    for quoted, plain, comma in _VALUE.findall(text):
        if comma:
            value_expected = True
            continue
        if not value_expected:
            raise FilterError(f"{key}: a comma is missing between values, or a closing quote")
        values.append(plain or re.sub(r"\\(.)", r"\1", quoted))
        value_expected = False
    if not values or value_expected:
        raise FilterError(f"{key}: a value is missing; right would be {key}:value or {key}:one,two")
    if len(values) > MAX_VALUES:
        raise FilterError(f"{key}: at most {MAX_VALUES} values; here are {len(values)}")
    return tuple(values)


def _quoted(value: str) -> str:
    if value and not re.search(r'[\s",\\]', value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
