"""Answers that come page by page: each has the address of the next."""

from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, UnsetType

from app.web.api.responses import Rows
from app.web.api.spelling import camel_rows

T = TypeVar("T")


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
    return Rows(camel_rows(rows), following)
