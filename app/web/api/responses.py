"""Types of answers that the API frames itself, page by page; the others come from the flows as they are."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, Meta, UnsetType

T = TypeVar("T")

_OBJECT = {"type": "object"}
Row = Annotated[Any, Meta(extra_json_schema=_OBJECT)]
"""A row of the flows."""

Next = Annotated[str, Meta(description="address of the next page; null on the last one")]


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """An answer that the API frames itself."""


class RunLink(Answer, frozen=True):
    """A run as it is now, and the address to watch it."""

    run: Annotated[Any, Meta(examples=[{"id": 7, "strategy": "smart", "status": "idle"}], extra_json_schema=_OBJECT)]
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

    rows: Sequence[Row]
    next: Next | None


class FoundItems(Answer, frozen=True):
    """The best matches of a search."""

    rows: Sequence[Row]


class CriticalItems(Answer, frozen=True):
    """A page of critical listings by id, with ``counts`` of all and the time of the count."""

    counts: dict[str, int]
    found_at: str
    age_seconds: float
    took_ms: int
    rows: Sequence[Row]
    next: Next | None


class Differences(Answer, frozen=True):
    """A page of differences; ``summary`` counts those of the requested run."""

    rows: Sequence[Row]
    summary: Sequence[Row] | None
    next: Next | None


class StuckRuns(Answer, frozen=True):
    """The runs whose worker is gone and that no other worker has taken over yet."""

    stuck: list[RunLink]


class FailedRuns(Answer, frozen=True):
    """The runs that were stuck and have just been failed."""

    failed: list[RunLink]


class Jobs(Answer, frozen=True):
    """Every job of a connection, and when it runs."""

    jobs: Sequence[Row]


def one_more(limit: int) -> int:
    """One row more than the page holds tells whether there is another page."""
    return limit + 1


def given(value: T | UnsetType) -> T | None:
    """A parameter's value; ``None`` when it was not given."""
    return None if value is UNSET else value


def page(
    path: str, params: Any, found: Sequence[Any], *, after: str = "beforeId", by: str = "id"
) -> tuple[list[Any], str | None]:
    """The rows of a page, and the address of the next one, which begins ``after`` the last row by its field ``by``."""
    rows = list(found[: params.limit])
    if len(found) <= params.limit:
        return rows, None
    query = {**msgspec.to_builtins(params), after: getattr(rows[-1], by)}
    spelled = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
    return rows, f"{path}?{urlencode(spelled)}"


def rows_page(path: str, params: Any, found: Sequence[Any], **last: str) -> Rows:
    """A ``page`` that is nothing but rows."""
    rows, following = page(path, params, found, **last)
    return Rows(rows, following)
