"""Bad records: any field of any kind with any sort of bad value, chosen by the seed."""

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from app.domain import Kind, Record

Key = tuple[str, ...]

TEXTS: tuple[Any, ...] = ("a\x00b", "half a pair \ud800", "x" * 40_000, "\u202e\x1b]0;x", "")
NUMBERS: tuple[Any, ...] = (2**63, -(2**70), 10**30)
AMOUNTS: tuple[Any, ...] = (Decimal("NaN"), Decimal("Infinity"), Decimal("1E+40"), Decimal("0.0000000001"))
UNTOUCHED = {"parent_id", "version", "modified_at", "deleted", "active", "extra"}


@dataclass(frozen=True)
class Harm:
    """The bad field of a record: the source cannot read it, or our tables cannot hold it."""

    field: str
    value: Any
    unreadable: bool

    def words(self, kind: Kind, key: Key) -> str:
        """The sentence that a source would report."""
        return f"{kind} {'/'.join(key)}: {self.field} is {str(self.value)[:40]!r}, which cannot be read"

    def on(self, record: Record) -> Record:
        """The record with the bad value."""
        return msgspec.structs.replace(record, **{self.field: self.value})


def drawn(rng: random.Random, record: Record) -> Harm:
    """A bad value for a field of the record that is neither key nor version; numbers as often as texts."""
    by_sort: dict[tuple[Any, ...], list[str]] = {}
    for field in msgspec.structs.fields(type(record)):
        kind = str(field.type)
        if (
            field.name not in {*type(record).key_fields, *UNTOUCHED} and "bool" not in kind
        ):  # a source makes its booleans
            by_sort.setdefault(_badness_of(kind), []).append(field.name)
    values = rng.choice(sorted(by_sort, key=repr))
    # Amounts go through ``domain.quantity`` in every source, so a bad one never gets as far as a record.
    unreadable = values is AMOUNTS or rng.random() < 0.4
    return Harm(rng.choice(by_sort[values]), rng.choice(values), unreadable)


def _badness_of(annotation: str) -> tuple[Any, ...]:
    if "Decimal" in annotation:
        return AMOUNTS
    return NUMBERS if "int" in annotation else TEXTS
