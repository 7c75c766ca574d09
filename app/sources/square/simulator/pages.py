"""Pages that may be short, empty or endless, and their cursors: opaque, bound to the first request's body, soon gone."""

import base64
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from random import Random
from typing import Any, NamedTuple, TypeVar

import msgspec

from app.sources.square.simulator.answers import invalid
from app.sources.square.simulator.settings import Faults

Row = TypeVar("Row")
Rows = Callable[[Any], Iterator[tuple[Any, Row]]]
"""A function from a position (``None``: the beginning) to the rows from there on, each with its own position."""


class _Issued(NamedTuple):
    digest: bytes
    position: Any
    is_emptied: bool  # the page before it was empty on purpose
    expires: float


class Pages:
    """Cuts answers into pages; keeps all cursors that were given out and still live."""

    def __init__(self, faults: Faults, dice: Random, first: int = 0) -> None:
        self._faults = faults
        self._dice = dice
        self._issued: dict[str, _Issued] = {}
        self._count = first

    def page(self, path: str, body: Mapping[str, Any], rows: Rows[Row], limit: int) -> tuple[list[Row], str | None]:
        """One page of rows, and the cursor of the next page if there is one; raises a 400 for a bad cursor."""
        position, is_emptied = self._redeemed(path, body)
        if not is_emptied and self._dice.random() < self._faults.empty_pages:
            return [], self._issue(path, body, position, is_emptied=True)
        if self._dice.random() < self._faults.short_pages:
            limit = self._dice.randint(1, limit)
        placed = list(islice(rows(position), limit + 1))
        shown = [row for _, row in placed[:limit]]
        if self._faults.repeat_cursor and body.get("cursor"):
            return shown, body["cursor"]
        return shown, self._issue(path, body, placed[limit][0]) if len(placed) > limit else None

    def _issue(self, path: str, body: Mapping[str, Any], position: Any, *, is_emptied: bool = False) -> str:
        """A cursor that leads to a position of this very query."""
        self._count += 1
        self._forget()
        mark = blake2b(f"{path}{self._count}".encode(), digest_size=24).digest()
        token = base64.urlsafe_b64encode(mark).decode().rstrip("=")
        expires = time.monotonic() + self._faults.cursor_seconds
        self._issued[token] = _Issued(_digest(path, body), position, is_emptied, expires)
        return token

    def _redeemed(self, path: str, body: Mapping[str, Any]) -> tuple[Any, bool]:
        token = body.get("cursor")
        if not token:
            return None, False
        issued = self._issued.get(token)
        if issued is None or issued.expires < time.monotonic():
            raise invalid("The cursor is unknown or has expired.", "INVALID_CURSOR", "cursor")
        if issued.digest != _digest(path, body):
            raise invalid("The cursor belongs to another request.", "INVALID_CURSOR", "cursor")
        return issued.position, issued.is_emptied

    def _forget(self) -> None:
        if self._count % 1000 == 0:
            now = time.monotonic()
            self._issued = {token: one for token, one in self._issued.items() if one.expires >= now}


def from_place(rows: Sequence[Row], at: int | None) -> Iterator[tuple[int, Row]]:
    """The rows from a place on, each with its place."""
    return islice(enumerate(rows), at or 0, None)


def _digest(path: str, body: Mapping[str, Any]) -> bytes:
    query = {name: value for name, value in body.items() if name != "cursor"}
    return blake2b(path.encode() + msgspec.json.encode(query, order="deterministic"), digest_size=16).digest()
