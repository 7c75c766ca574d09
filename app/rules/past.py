"""What counts were before we held them, worked out from the source's own record of what changed them.

Nothing is invented: a count is told back to the last moment from which on every change of it is known, and a listing of
which one count does not add up has no past at all.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from app.domain import PastChange, Spot

SAME = timedelta(seconds=1)
"""A source may stamp a change and the count that it led to so far apart."""

LONGEST_LOAD = timedelta(hours=6)
"""A first load takes less: what a source had recorded so long before its end was loaded."""


class Held(NamedTuple):
    """A count that we hold: how many now, when the source calculated that, and how many were ``loaded`` when our own
    history began. ``moved`` says that our history has a change of it."""

    quantity: Decimal
    calculated_at: datetime
    loaded: Decimal
    moved: bool


class PastRow(NamedTuple):
    """A count became ``after`` at a moment; ``before`` is ``None`` where that is not known, or there was no count."""

    spot: Spot
    at: datetime
    before: Decimal | None
    after: Decimal


class _Walk(NamedTuple):
    """The rows of one count, oldest first; ``since`` is the moment before which it is not known what it was."""

    rows: list[PastRow]
    since: datetime | None = None


def reckon(
    held: Mapping[Spot, Held], changes: Sequence[PastChange], *, since: datetime, loaded_at: datetime
) -> list[PastRow]:
    """The past of one listing's counts up to the moment when our own history began (``loaded_at``), oldest first.

    ``changes`` are all that occurred at or after ``since``; those of counts that we do not hold are left out. Empty where
    the changes do not lead to what we loaded.
    """
    walks = []
    for spot, count in held.items():
        own = [one for one in changes if one.spot == spot and one.occurred_at >= since]
        loaded = _loaded(count, _in_count(count, own), loaded_at)
        if loaded is None:
            return []
        walks.append(_walk(count.loaded, loaded))
    begin = max((walk.since for walk in walks if walk.since is not None), default=since)
    return sorted((row for walk in walks for row in walk.rows if row.at >= begin), key=lambda row: row.at)


def _in_count(count: Held, changes: Sequence[PastChange]) -> list[PastChange]:
    """The changes that are in the count as it is now, in the order in which the source learned of them."""
    nearest = min(
        (one.received_at for one in changes),
        key=lambda received: (abs(received - count.calculated_at), count.calculated_at - received),
        default=count.calculated_at,
    )
    last = nearest if abs(nearest - count.calculated_at) <= SAME else count.calculated_at
    return sorted((one for one in changes if one.received_at <= last), key=lambda one: one.received_at)


def _loaded(count: Held, known: list[PastChange], loaded_at: datetime) -> list[PastChange] | None:
    """The changes that led to the count that was loaded, as they occurred; ``None`` where that cannot be told.

    Our own history has the later ones. A change that the source learned of while we loaded may be on either side: the
    value decides.
    """
    kept, later = list(known), list[PastChange]()
    while not _is_loaded(count, kept, later, loaded_at):
        if not count.moved or not kept or kept[-1].received_at <= loaded_at - LONGEST_LOAD:
            return None
        later.append(kept.pop())
    return _as_occurred(kept)


def _is_loaded(count: Held, kept: list[PastChange], later: list[PastChange], loaded_at: datetime) -> bool:
    if count.moved and kept and kept[-1].received_at > loaded_at:
        return False
    return _value_after(_as_occurred(kept), count.quantity, later) == count.loaded


def _value_after(changes: Sequence[PastChange], now: Decimal, later: Sequence[PastChange]) -> Decimal | None:
    """What a count was after some changes, if it is ``now`` that after the later ones too: told by the last stock take,
    else by going back. ``None`` where neither is possible."""
    takes = [place for place, one in enumerate(changes) if one.counted]
    if takes:
        return sum((one.quantity for one in changes[takes[-1] :]), Decimal())
    if any(one.counted for one in later):
        return None
    return now - sum((one.quantity for one in later), Decimal())


def _as_occurred(changes: Sequence[PastChange]) -> list[PastChange]:
    return sorted(changes, key=lambda one: (one.occurred_at, one.received_at))


def _walk(loaded: Decimal, changes: Sequence[PastChange]) -> _Walk:
    """Each change with what was before and after it. Before the first stock take nothing is certain: nobody knows by how
    much that was wrong."""
    first = next((place for place, one in enumerate(changes) if one.counted), None)
    if first is None:
        return _Walk(_rows(changes, loaded - sum((one.quantity for one in changes), Decimal())))
    take = changes[first]
    rows = [PastRow(take.spot, take.occurred_at, None, take.quantity), *_rows(changes[first + 1 :], take.quantity)]
    return _Walk(rows, take.occurred_at if first else None)


def _rows(changes: Sequence[PastChange], before: Decimal) -> list[PastRow]:
    rows = []
    for one in changes:
        after = one.quantity if one.counted else before + one.quantity
        if after != before:
            rows.append(PastRow(one.spot, one.occurred_at, before, after))
        before = after
    return rows
