"""The plausibility guard for kinds that are judged by numbers of rows only: a batch may not delete or change too much."""

from collections.abc import Collection
from dataclasses import dataclass

NOTHING: frozenset[str] = frozenset()
"""No checks: a person forces the run."""

FIRST_LOAD = frozenset({"delete"})
"""The checks when a kind was never read before: webhooks may have brought some rows, so adding many is right."""

POLL = FIRST_LOAD | {"add"}
"""The checks of a poll: a busy shop may change a fifth of its rows, but it does not lose them."""

RUN = POLL | {"change"}
"""The checks of a nightly run, when hardly anything should still differ."""


@dataclass(frozen=True)
class Limits:
    """A batch is implausible when it touches more than ``share`` of the rows and at least ``rows`` of them.

    In a small shop ``few`` deleted rows are enough if they are more than the share.
    """

    share: float = 0.20
    rows: int = 25
    few: int = 3


@dataclass(frozen=True)
class Impact:
    """What a batch would do to the ``total`` live rows of one kind.

    ``read`` is how many records a complete read showed, unreadable ones too; ``None`` for a read that is not complete.
    """

    total: int
    read: int | None = None
    created: int = 0
    changed: int = 0
    deleted: int = 0


def implausible(impact: Impact, limits: Limits, checks: Collection[str] = RUN) -> str | None:
    """Why the batch is implausible by these ``checks`` (``FIRST_LOAD``, ``POLL`` or ``RUN``), else ``None``.

    A batch for a kind without any row is always plausible. Adding is suspicious from twice the rows on. An answer without
    any record that would delete something is implausible, however few rows we have.
    """
    if impact.total == 0:
        return None
    added = impact.created if impact.created > impact.total else 0
    numbers = {"delete": impact.deleted, "change": impact.changed, "add": added}
    for check, rows in numbers.items():
        if check in checks and _is_too_much(check, rows, impact, limits):
            return f"would {check} {rows} of {impact.total} rows ({rows / impact.total:.0%})"
    return None


def _is_too_much(check: str, rows: int, impact: Impact, limits: Limits) -> bool:
    share = limits.share * impact.total
    if rows >= limits.rows and rows > share:
        return True
    if check not in FIRST_LOAD:
        return False
    if impact.read == 0:
        return rows > 0
    return rows >= limits.few and rows > share
