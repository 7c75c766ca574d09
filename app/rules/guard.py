"""The plausibility guard: a batch that would zero, delete or change too much is not believed at once."""

from __future__ import annotations

from dataclasses import dataclass


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


def implausible(impact: Impact, limits: Limits, *, judge_changes: bool = True) -> str | None:
    """Why the batch is not to be believed, or ``None``.

    A first load (no rows yet) is always plausible. ``judge_changes=False`` leaves out mere changes: between two
    polls a busy shop may well change a fifth of its rows, but it does not lose them.
    """
    if impact.total == 0:
        return None
    suspects = [("delete", impact.deleted), ("zero", impact.zeroed)]
    if judge_changes:
        suspects.append(("change", impact.changed))
    if impact.created > impact.total:
        suspects.append(("add", impact.created))
    for deed, rows in suspects:
        if rows >= limits.rows and rows > limits.share * impact.total:
            return f"would {deed} {rows} of {impact.total} rows ({rows / impact.total:.0%})"
    return None
