"""Runs all questions about the data."""

from collections.abc import Collection, Sequence
from typing import Protocol

from sqlalchemy import Connection

from app.domain import Kind
from app.stores.validation import between, inside, prices, records
from app.stores.validation.asking import Check, Cutoffs, Finding

_QUESTIONS = (
    inside.DUPLICATES,
    inside.NEAR_DUPLICATES,
    inside.NEGATIVE_STOCK,
    inside.MISSING_FIELDS,
    prices.NONE_CHOSEN,
    inside.STOCK_ORPHANS,
    inside.CATEGORY_ORPHANS,
    inside.ORDER_ORPHANS,
    inside.ORDER_SUMS,
    inside.LONG_OWED,
    records.FROM_THE_FUTURE,
    records.UNHELD_TEXTS,
    records.UNKNOWN_ZONES,
    records.FAILED_ITEMS,
)


class DataQuestion(Protocol):
    """A question about the data: an ``asking.Question``, or one that needs more than SQL."""

    @property
    def checks(self) -> Sequence[Check]:
        """Its checks, in the order of the findings."""

    def ask(self, conn: Connection, connection: str, cutoffs: Cutoffs, samples: int) -> list[Finding]:
        """The finding of each check, with at most ``samples`` samples."""


def questions(confirmed: Collection[Kind]) -> tuple[DataQuestion, ...]:
    """Every question; rows of ``confirmed`` kinds are as fresh as the complete read that confirmed them."""
    unconfirmed = [kind for kind in Kind if kind not in confirmed]
    return (*_QUESTIONS, inside.not_read(unconfirmed), between.MISMATCHES)


CHECKS = tuple(check.name for question in questions(()) for check in question.checks)
"""The names of all checks, in the order of the findings."""


def measure(
    conn: Connection, connection: str, cutoffs: Cutoffs, *, confirmed: Collection[Kind] = (), samples: int = 5
) -> list[Finding]:
    """What every check finds now, with at most ``samples`` each.

    ``confirmed`` are the kinds that were read completely since ``cutoffs.stale``: such a read rewrites only what
    differs, and yet speaks for every row.
    """
    return [
        finding for question in questions(confirmed) for finding in question.ask(conn, connection, cutoffs, samples)
    ]
