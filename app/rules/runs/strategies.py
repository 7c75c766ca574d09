"""What each strategy reads: a run is a list of legs, one kind each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain import Kind, Options, Strategy
from app.errors import InvalidRequest

UNTOUCHED = timedelta(days=365)
"""A product that nobody edited for so long is left out by ``active``."""

RECENT_ORDERS = timedelta(days=7)


class How(StrEnum):
    """How a leg reads its kind: all of it with a diff, a slice of what only deltas show with a diff, what changed in a span
    of time, since the watermark, by id."""

    FULL = "full"
    SLICE = "slice"
    WINDOW = "window"
    DELTA = "delta"
    ITEMS = "items"


@dataclass(frozen=True)
class Leg:
    """One kind of a run. ``since`` and ``until`` bound a window; ``active_only`` leaves out what is not for sale."""

    kind: Kind
    how: How
    since: datetime | None = None
    until: datetime | None = None
    active_only: bool = False


Make = Callable[[Options, datetime], list[Leg]]


def legs(strategy: Strategy, options: Options, kinds: Sequence[Kind], now: datetime) -> list[Leg]:
    """The legs of a run, in the order of ``kinds`` (parents first); raises ``InvalidRequest`` where there would be none."""
    told = [leg for leg in _LEGS[strategy](options, now) if leg.kind in kinds]
    wanted = [narrowed(leg, options) for leg in told if leg.how is not How.SLICE or not options.partial]
    if not wanted:
        raise InvalidRequest(f"strategy {strategy} reads nothing that this source has ({', '.join(kinds)})")
    return sorted(wanted, key=lambda leg: list(kinds).index(leg.kind))


def narrowed(leg: Leg, options: Options) -> Leg:
    """A leg that reads only what the options let through; such a read speaks for no deletion any more."""
    if not options.partial or leg.how is How.ITEMS:
        return leg
    if leg.how is How.DELTA and options.since is None:  # a limit stops it short; it begins where it always does
        return leg
    since = leg.since if options.since is None else options.since
    until = min((moment for moment in (leg.until, options.until) if moment is not None), default=None)
    return Leg(leg.kind, How.WINDOW, since, until, leg.active_only or options.active_only)


def _all(how: How, *kinds: Kind) -> Make:
    return lambda options, now: [Leg(kind, how) for kind in kinds or tuple(Kind)]


def _active(options: Options, now: datetime) -> list[Leg]:
    return [Leg(Kind.PRODUCT, How.WINDOW, since=now - UNTOUCHED, active_only=True)]


def _orders(options: Options, now: datetime) -> list[Leg]:
    if options.first is not None or options.last is not None:
        return [Leg(Kind.ORDER, How.ITEMS)]
    return [Leg(Kind.ORDER, How.WINDOW, since=options.since or now - RECENT_ORDERS)]


def _full(options: Options, now: datetime) -> list[Leg]:
    """The slice before the rest: how much it is depends on what was held before the run."""
    return [Leg(Kind.ORDER, How.SLICE, until=now - RECENT_ORDERS), *(Leg(kind, How.FULL) for kind in Kind)]


def _daily(options: Options, now: datetime) -> list[Leg]:
    whole = (Kind.LOCATION, Kind.CATEGORY, Kind.VENDOR, Kind.PRODUCT)
    return [*(Leg(kind, How.FULL) for kind in whole), *_orders(options, now)]


_LEGS: Mapping[Strategy, Make] = {
    Strategy.CRITICAL: _all(How.ITEMS, Kind.PRODUCT, Kind.STOCK),
    Strategy.CATEGORY: _all(How.ITEMS, Kind.PRODUCT, Kind.STOCK),
    Strategy.RETRY: _all(How.ITEMS),
    Strategy.INVENTORY: _all(How.FULL, Kind.STOCK),
    Strategy.INCREMENTAL: _all(How.DELTA),
    Strategy.ACTIVE: _active,
    Strategy.FULL: _full,
    Strategy.ORDERS: _orders,
    Strategy.CATALOG: _all(How.FULL, Kind.PRODUCT),
    Strategy.LOCATIONS: _all(How.FULL, Kind.LOCATION),
    Strategy.CATEGORIES: _all(How.FULL, Kind.CATEGORY),
    Strategy.VENDORS: _all(How.FULL, Kind.VENDOR),
    Strategy.DAILY: _daily,
}
