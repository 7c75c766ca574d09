"""The plausibility guard: a batch that would zero, delete or change too much is not believed at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

FIRST_LOAD = frozenset({"delete", "zero"})
"""What is judged when a kind was never read before: webhooks may have brought some rows, so adding many is right."""

POLL = FIRST_LOAD | {"add"}
"""What is judged between polls: a busy shop may well change a fifth of its rows, but it does not lose them."""

RUN = POLL | {"change"}
"""What is judged in a nightly run, when hardly anything should still differ."""


@dataclass(frozen=True)
class Limits:
    """A batch is implausible when it touches more than ``share`` of the rows and at least ``rows`` of them."""

    share: float = 0.20
    rows: int = 25


@dataclass(frozen=True)
class Impact:
    """What a batch would do to the ``total`` live rows of one kind."""

    total: int
    created: int = 0
    changed: int = 0
    zeroed: int = 0
    deleted: int = 0


def implausible(impact: Impact, limits: Limits, deeds: Collection[str] = RUN) -> str | None:
    """Why the batch is not to be believed, or ``None``; judged by ``deeds`` (``FIRST_LOAD``, ``POLL`` or ``RUN``).

    A batch for a kind without any row is always plausible. Adding is suspicious from twice the rows on.
    """
    if impact.total == 0:
        return None
    added = impact.created if impact.created > impact.total else 0
    done = {"delete": impact.deleted, "zero": impact.zeroed, "change": impact.changed, "add": added}
    for deed, rows in done.items():
        if deed in deeds and rows >= limits.rows and rows > limits.share * impact.total:
            return f"would {deed} {rows} of {impact.total} rows ({rows / impact.total:.0%})"
    return None
