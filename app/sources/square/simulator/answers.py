"""The answers of the simulated API: Square's error bodies, and pages that may be short, empty or endless."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from app.sources.square.simulator.cursors import CursorRefused
from app.sources.square.simulator.world import World

Json = dict[str, Any]
Row = TypeVar("Row")
Rows = Callable[[Any], Iterator[tuple[Any, Row]]]
"""A function from a position (``None``: the beginning) to the rows from there on, each with its own position."""


class ApiError(Exception):
    """An answer with an ``errors`` list."""

    def __init__(self, status: int, category: str, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        entry = {"category": category, "code": code, "detail": detail, **({"field": field} if field else {})}
        self.body = {"errors": [entry]}


def invalid(detail: str, code: str = "INVALID_VALUE", field: str | None = None) -> ApiError:
    """A 400 about one field of the request."""
    return ApiError(400, "INVALID_REQUEST_ERROR", code, detail, field)


def not_found(detail: str) -> ApiError:
    """A 404 as the vendor spells it, in a list of errors."""
    return ApiError(404, "INVALID_REQUEST_ERROR", "NOT_FOUND", detail)


def without_nothing(body: Mapping[str, Any]) -> Json:
    """The body without null and empty fields, which Square leaves out."""
    return {name: value for name, value in body.items() if value not in (None, [], {}, "")}


async def body_of(request: Request) -> Json:
    """The request's JSON object; an empty body is an empty object."""
    raw = await request.body()
    try:
        return msgspec.json.decode(raw, type=dict[str, Any]) if raw else {}
    except msgspec.DecodeError as error:
        raise invalid(f"Expected a JSON object: {error}", "EXPECTED_JSON_BODY") from error


def page(world: World, path: str, body: Json, rows: Rows[Row], limit: int) -> tuple[list[Row], str | None]:
    """One page of rows, and the cursor of the next page if there is one."""
    position, emptied = _redeemed(world, path, body)
    faults, dice = world.options, world.fault_dice
    if not emptied and dice.random() < faults.empty_pages:
        return [], world.cursors.issue(path, body, (position, True), faults.cursor_seconds)
    if dice.random() < faults.short_pages:
        limit = dice.randint(1, limit)
    placed = list(islice(rows(position), limit + 1))
    shown = [row for _, row in placed[:limit]]
    if faults.repeat_cursor and body.get("cursor"):
        return shown, body["cursor"]
    if len(placed) <= limit:
        return shown, None
    return shown, world.cursors.issue(path, body, (placed[limit][0], False), faults.cursor_seconds)


def from_place(rows: list[Row], at: int | None) -> Iterator[tuple[int, Row]]:
    """The rows from a place on, each with its place."""
    return iter([*enumerate(rows)][at or 0 :])


def _redeemed(world: World, path: str, body: Json) -> tuple[Any, bool]:
    try:
        position: tuple[Any, bool] = world.cursors.redeem(path, body) or (None, False)
    except CursorRefused as error:
        raise invalid(str(error), "INVALID_CURSOR", "cursor") from error
    return position
