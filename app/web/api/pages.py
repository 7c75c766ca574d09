"""Answers that come page by page: each has the address of the next."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec


def one_more(limit: int) -> int:
    """One row more than the page holds tells whether there is another page."""
    return limit + 1


def page(
    path: str,
    params: Any,
    found: Sequence[dict[str, Any]],
    after: Callable[[Sequence[dict[str, Any]]], dict[str, Any]],
) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of a page, and the address of the next one."""
    rows = list(found[: params.limit])
    if len(found) <= params.limit:
        return rows, None
    query = {**msgspec.to_builtins(params), **after(rows)}
    spelled = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
    return rows, f"{path}?{urlencode(spelled)}"


def before_last(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The next page begins after this one's last row."""
    return {"beforeId": rows[-1]["id"]}
