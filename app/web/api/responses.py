"""Types of answers that the API frames itself; the others come from the flows as they are."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain import JsonObject

Next = Annotated[str, Meta(description="address of the next page; null on the last one")]


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """An answer that the API frames itself; its rows are spelled already."""


class RunLink(Answer, frozen=True):
    """A run as it is now, and the address to watch it."""

    run: Annotated[JsonObject, Meta(examples=[{"id": 7, "strategy": "smart", "status": "idle"}])]
    href: Annotated[str, Meta(examples=["/api/sync-acme/runs/7"])]


class Owed(Answer, frozen=True):
    """An item that will be fetched as soon as a worker is free."""

    connection: str
    kind: str
    external_id: str


class OwedItems(Answer, frozen=True):
    """The items owed now."""

    owed: list[Owed]


class Rows(Answer, frozen=True):
    """A page of rows, newest first."""

    rows: list[JsonObject]
    next: Next | None


class CriticalItems(Answer, frozen=True):
    """A page of critical listings by id, with ``counts`` of all and the time of the count."""

    counts: dict[str, int]
    found_at: str
    age_seconds: float
    took_ms: int
    rows: list[JsonObject]
    next: Next | None


class Differences(Answer, frozen=True):
    """A page of differences; ``summary`` counts those of the requested run."""

    rows: list[JsonObject]
    summary: list[JsonObject] | None
    next: Next | None


class StuckRuns(Answer, frozen=True):
    """The runs whose worker is gone and that no other worker has taken over yet."""

    stuck: list[RunLink]


class FailedRuns(Answer, frozen=True):
    """The runs that were stuck and have just been failed."""

    failed: list[RunLink]


class Jobs(Answer, frozen=True):
    """Every job of a connection, and when it runs."""

    jobs: list[JsonObject]
