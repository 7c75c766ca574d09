"""Types of answers that the API frames itself; the others come from the flows as they are."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Row = dict[str, Any]
Next = Annotated[str, Meta(description="address of the next page; null on the last one")]


class RunLink(msgspec.Struct, frozen=True):
    """A run as it is now, and the address to watch it."""

    run: Annotated[Row, Meta(examples=[{"id": 7, "strategy": "smart", "status": "idle"}])]
    href: Annotated[str, Meta(examples=["/api/sync-acme/runs/7"])]


class Owed(msgspec.Struct, frozen=True, rename="camel"):
    """An item that will be fetched as soon as a worker is free."""

    connection: str
    kind: str
    external_id: str


class OwedItems(msgspec.Struct, frozen=True):
    """The items owed now."""

    owed: list[Owed]


class Rows(msgspec.Struct, frozen=True):
    """A page of rows, newest first."""

    rows: list[Row]
    next: Next | None


class FoundItems(msgspec.Struct, frozen=True):
    """The best matches of a search."""

    rows: list[Row]


class CriticalItems(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page of critical listings by id, with ``counts`` of all and the time of the count."""

    counts: dict[str, int]
    found_at: str
    age_seconds: float
    took_ms: int
    rows: list[Row]
    next: Next | None


class Differences(msgspec.Struct, frozen=True):
    """A page of differences; ``summary`` counts those of the requested run."""

    rows: list[Row]
    summary: list[Row] | None
    next: Next | None


class StuckRuns(msgspec.Struct, frozen=True):
    """The runs whose worker is gone and that no other worker has taken over yet."""

    stuck: list[RunLink]


class FailedRuns(msgspec.Struct, frozen=True):
    """The runs that were stuck and have just been failed."""

    failed: list[RunLink]


class Jobs(msgspec.Struct, frozen=True):
    """Every job of a connection, and when it runs."""

    jobs: list[Row]
