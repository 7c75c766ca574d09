"""What the vendors in memory, which the experiments read, have in common."""

from collections.abc import Iterator, Sequence
from datetime import date

from app.domain import Kind
from app.sources.base import Limit, Receiver


class MemorySource:
    """The part of ``Source`` that needs no vendor: no webhooks, no orders by day, no limits, no connections."""

    name = "shop"
    listed_kinds: tuple[Kind, ...] = ()
    receiver: Receiver | None = None

    def pace(self, kind: Kind) -> float:
        """Zero: whole kinds may be read at any time."""
        return 0.0

    def storm_size(self, kind: Kind) -> int:
        """So large that no backlog is a storm."""
        return 1_000_000

    def order_ids(self, first: date, last: date) -> Iterator[tuple[date, str]]:
        """No orders."""
        return iter(())

    def calls(self) -> int:
        """Not counted."""
        return 0

    def budget(self) -> Sequence[Limit]:
        """No limits."""
        return ()

    def warm(self) -> None:
        """There is no client."""

    def close(self) -> None:
        """There is no client."""
