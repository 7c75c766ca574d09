"""The agreement of a kind after a complete read: the share of rows with equal content, of all live rows there or here."""

from __future__ import annotations

from typing import NamedTuple

from app.flows.items.bulk_read import Absorbed


class Agreed(NamedTuple):
    """Of ``rows``, those that live there, here or in both, ``equal`` have equal content after the write, which changed
    ``differed`` rows. Where ``equal`` is not known it is ``None``, and ``unknown`` says why."""

    rows: int
    equal: int | None
    differed: int
    unknown: str | None = None

    @property
    def share(self) -> float | None:
        """0 to 1; 1.0 only if every row is equal, ``None`` when it is not known."""
        return share_of(self.equal, self.rows)


def share_of(equal: int | None, rows: int) -> float | None:
    """``equal / rows`` in six digits; 1.0 only if all rows are equal, or there are none."""
    if equal is None:
        return None
    return 1.0 if equal >= rows else min(round(max(0, equal) / rows, 6), 0.999999)


def agreed(absorbed: Absorbed, *, unseen: int = 0, written: bool = True) -> Agreed:
    """The agreement after a read's write, or (not ``written``) without it.

    It is unknown when the guard held the read, when we had no rows before, and when the read only named rows that are new
    to us (``unseen``), because their content is still to be fetched.
    """
    diff, wrote = absorbed.diff, absorbed.written
    differed = len(diff.created) + len(diff.changed) + len(diff.vanished)
    passed_gone = sum(record.deleted for record in diff.passed)
    only_here = len(diff.unshown) + len(wrote.kept) + passed_gone + (0 if written else len(diff.vanished))
    rows = diff.read - diff.gone + only_here + len(absorbed.failures) - len(wrote.failed)
    if (unknown := _unknown(absorbed, unseen)) is not None:
        return Agreed(rows, None, differed, unknown)
    left = only_here + len(diff.passed) - passed_gone + len(wrote.refused) + len(absorbed.failures)
    left += 0 if written else len(diff.created) + len(diff.changed)
    return Agreed(rows, max(0, rows - left), differed)


def _unknown(absorbed: Absorbed, unseen: int) -> str | None:
    if absorbed.held:
        return f"the read was not believed: {absorbed.held}"
    if unseen:
        return f"{unseen} rows were only named, and are still to be asked for"
    return None if absorbed.diff.total_local else "nothing was stored before: there was nothing to compare"
