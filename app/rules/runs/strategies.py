"""What each strategy reads: a run is a list of stages, each about one kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain import Kind, Options, Strategy
from app.errors import InvalidRequest

UNTOUCHED = timedelta(days=365)
"""``active`` leaves out products that nobody edited for this long."""

RECENT_ORDERS = timedelta(days=7)


class ReadMode(StrEnum):
    """How a stage reads its kind.

    ``full`` compares all of it, ``slice`` some older rows that full reads leave out; ``window`` reads what changed in a
    span of time, ``delta`` what changed since the watermark, ``items`` reads by id.
    """

    FULL = "full"
    SLICE = "slice"
    WINDOW = "window"
    DELTA = "delta"
    ITEMS = "items"


@dataclass(frozen=True)
class Stage:
    """One kind of a run. ``since`` and ``until`` bound a window; ``active_only`` leaves out products that are not for
    sale."""

    kind: Kind
    mode: ReadMode
    since: datetime | None = None
    until: datetime | None = None
    active_only: bool = False


Make = Callable[[Options, datetime], list[Stage]]


def stages(strategy: Strategy, options: Options, kinds: Sequence[Kind], now: datetime) -> list[Stage]:
    """The stages of a run, in the order of ``kinds`` (parents first); raises ``InvalidRequest`` if there are none."""
    planned = [stage for stage in _STAGES[strategy](options, now) if stage.kind in kinds]
    wanted = [narrow(stage, options) for stage in planned if stage.mode is not ReadMode.SLICE or not options.partial]
    if not wanted:
        raise InvalidRequest(f"strategy {strategy} reads nothing that this source has ({', '.join(kinds)})")
    return sorted(wanted, key=lambda stage: list(kinds).index(stage.kind))


def narrow(stage: Stage, options: Options) -> Stage:
    """A stage that reads only what the options allow; such a read cannot detect deletions."""
    if not options.partial or stage.mode is ReadMode.ITEMS:
        return stage
    if (
        stage.mode is ReadMode.DELTA and options.since is None
    ):  # only a limit narrows it: it begins at the watermark as always
        return stage
    since = stage.since if options.since is None else options.since
    until = min((moment for moment in (stage.until, options.until) if moment is not None), default=None)
    return Stage(stage.kind, ReadMode.WINDOW, since, until, stage.active_only or options.active_only)


def _all(mode: ReadMode, *kinds: Kind) -> Make:
    return lambda options, now: [Stage(kind, mode) for kind in kinds or tuple(Kind)]


def _active(options: Options, now: datetime) -> list[Stage]:
    return [Stage(Kind.PRODUCT, ReadMode.WINDOW, since=now - UNTOUCHED, active_only=True)]


def _orders(options: Options, now: datetime) -> list[Stage]:
    if options.first is not None or options.last is not None:
        return [Stage(Kind.ORDER, ReadMode.ITEMS)]
    return [Stage(Kind.ORDER, ReadMode.WINDOW, since=options.since or now - RECENT_ORDERS)]


def _full(options: Options, now: datetime) -> list[Stage]:
    """The slice goes first: its size depends on the rows that we held before the run."""
    return [
        Stage(Kind.ORDER, ReadMode.SLICE, until=now - RECENT_ORDERS),
        *(Stage(kind, ReadMode.FULL) for kind in Kind),
    ]


def _daily(options: Options, now: datetime) -> list[Stage]:
    whole = (Kind.LOCATION, Kind.CATEGORY, Kind.VENDOR, Kind.PRODUCT)
    return [*(Stage(kind, ReadMode.FULL) for kind in whole), *_orders(options, now)]


_STAGES: Mapping[Strategy, Make] = {
    Strategy.CRITICAL: _all(ReadMode.ITEMS, Kind.PRODUCT, Kind.STOCK),
    Strategy.CATEGORY: _all(ReadMode.ITEMS, Kind.PRODUCT, Kind.STOCK),
    Strategy.RETRY: _all(ReadMode.ITEMS),
    Strategy.INVENTORY: _all(ReadMode.FULL, Kind.STOCK),
    Strategy.INCREMENTAL: _all(ReadMode.DELTA),
    Strategy.ACTIVE: _active,
    Strategy.FULL: _full,
    Strategy.ORDERS: _orders,
    Strategy.CATALOG: _all(ReadMode.FULL, Kind.PRODUCT),
    Strategy.LOCATIONS: _all(ReadMode.FULL, Kind.LOCATION),
    Strategy.CATEGORIES: _all(ReadMode.FULL, Kind.CATEGORY),
    Strategy.VENDORS: _all(ReadMode.FULL, Kind.VENDOR),
    Strategy.DAILY: _daily,
}
