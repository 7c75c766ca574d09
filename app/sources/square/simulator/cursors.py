"""Cursors: opaque, bound to the body of their first request, and gone after a while."""

import base64
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec


class CursorRefused(Exception):
    """Unknown, expired, or sent with another body."""


class _Issued(NamedTuple):
    digest: bytes
    position: Any
    expires: float


class Cursors:
    """All cursors that were given out and still live."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, first: int = 0) -> None:
        self._clock = clock
        self._issued: dict[str, _Issued] = {}
        self._count = first

    def issue(self, path: str, body: Mapping[str, Any], position: Any, seconds: float) -> str:
        """A cursor that leads to a position of this very query."""
        self._count += 1
        self._forget()
        mark = blake2b(f"{path}{self._count}".encode(), digest_size=24).digest()
        token = base64.urlsafe_b64encode(mark).decode().rstrip("=")
        self._issued[token] = _Issued(_digest(path, body), position, self._clock() + seconds)
        return token

    def redeem(self, path: str, body: Mapping[str, Any]) -> Any:
        """The position the body's cursor leads to, ``None`` without a cursor; raises ``CursorRefused``."""
        token = body.get("cursor")
        if not token:
            return None
        issued = self._issued.get(token)
        if issued is None or issued.expires < self._clock():
            raise CursorRefused("The cursor is unknown or has expired.")
        if issued.digest != _digest(path, body):
            raise CursorRefused("The cursor belongs to another request.")
        return issued.position

    def _forget(self) -> None:
        if self._count % 1000 == 0:
            now = self._clock()
            self._issued = {token: one for token, one in self._issued.items() if one.expires >= now}


def _digest(path: str, body: Mapping[str, Any]) -> bytes:
    query = {name: value for name, value in body.items() if name != "cursor"}
    return blake2b(path.encode() + msgspec.json.encode(query, order="deterministic"), digest_size=16).digest()
