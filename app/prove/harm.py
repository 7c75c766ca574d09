"""Records that are bad: any field of any kind, with any sort of badness, drawn rather than listed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from app.domain import Kind, Record

Key = tuple[str, ...]

TEXTS: tuple[Any, ...] = ("a\x00b", "half a pair \ud800", "x" * 40_000, "\u202e\x1b]0;x", "")
NUMBERS: tuple[Any, ...] = (2**63, -(2**70), 10**30)
QUANTITIES: tuple[Any, ...] = (Decimal("NaN"), Decimal("Infinity"), Decimal("1E+40"), Decimal("0.0000000001"))


@dataclass(frozen=True)
class Harm:
    """What is wrong with a record: the source cannot read it, or a field holds what our tables cannot."""

    field: str
    value: Any
    unreadable: bool

    def words(self, kind: Kind, key: Key) -> str:
        """The sentence that a source would say."""
        return f"{kind} {'/'.join(key)}: {self.field} is {str(self.value)[:40]!r}, which cannot be read"

    def on(self, record: Record) -> Record:
        """The record with it."""
        return msgspec.structs.replace(record, **{self.field: self.value})


def drawn(rng: random.Random, record: Record) -> Harm:
    """Some badness for some field that is no key and no version of a record."""
    keys = type(record).key_fields
    fields = [
        field.name
        for field in msgspec.structs.fields(type(record))
        if field.name not in (*keys, "parent_id", "version", "modified_at", "deleted", "active", "extra")
    ]
    field = rng.choice(fields)
    unreadable = rng.random() < 0.5
    if field in ("price_minor", "cost_minor", "total_minor", "lead_time_days"):
        value = rng.choice(NUMBERS)
    elif field in ("quantity", "reorder_point", "reorder_quantity"):
        value, unreadable = rng.choice(QUANTITIES), True  # every source goes through ``domain.quantity``
    else:
        value = rng.choice(TEXTS)
    return Harm(field, value, unreadable)
