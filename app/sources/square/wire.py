"""What Square sends: the shapes of its answers as structs, and its error bodies as our error tree.

Records stay as they come, because every field that we do not map is kept (``mapping`` splits them), and because one
that is no object harms only itself (``isolation``). Shapes follow Square's OpenAPI document and SDK 46.0.0. Nulls are
omitted on the wire, so all is optional.
"""

from typing import Any

import httpx
import msgspec

from app.errors import (
    AuthRejected,
    BadAnswer,
    RateLimited,
    TallyhookError,
    Unavailable,
    Unmappable,
    VendorForbidden,
    VendorRefused,
)
from app.sources.texts import repaired, shallow

Json = dict[str, Any]


class Problem(msgspec.Struct):
    """One entry of ``errors``."""

    category: str | None = None
    code: str | None = None
    detail: str | None = None
    field: str | None = None


class Reply(msgspec.Struct, kw_only=True):
    """Every field of an answer that we read; each call's answer has one or two of them.

    ``errors`` can be filled inside a 200. ``responses`` has an answer of its own for each requested id, ``events`` the
    bytes that webhooks would have carried.
    """

    errors: list[Problem] | None = None
    cursor: str | None = None
    objects: list[Any] | None = None
    related_objects: list[Any] | None = None
    latest_time: str | None = None
    counts: list[Any] | None = None
    changes: list[Any] | None = None
    orders: list[Any] | None = None
    order_entries: list[Any] | None = None
    order: Any = None
    locations: list[Any] | None = None
    vendors: list[Any] | None = None
    vendor: Any = None
    responses: "dict[str, Reply] | None" = None
    events: list[msgspec.Raw] | None = None
    subscriptions: list[Any] | None = None
    subscription: Json = msgspec.field(default_factory=dict)


_DECODER = msgspec.json.Decoder(Reply, float_hook=float)
"""``float`` as a hook turns numbers that are too large into infinity; msgspec alone would refuse the whole page."""


def decode(body: bytes) -> Reply:
    """The answer in a body.

    Raises ``BadAnswer`` for anything but a complete JSON document, ``Unmappable`` for another shape.
    """
    try:
        return _decoded(body)
    except msgspec.ValidationError as error:
        raise Unmappable(f"Square answered in a shape we do not know: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"expected a JSON document from Square, not {body[:60]!r}") from error


def _decoded(body: bytes) -> Reply:
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _DECODER.decode(shallow(repaired(body)))


def read(response: httpx.Response) -> Reply:
    """The answer; an error body raises, whatever the status code says."""
    where = f"{response.request.method} {response.request.url.path}"
    if not response.headers.get("content-type", "").startswith("application/json"):
        raise BadAnswer(f"{where}: expected JSON, not {response.headers.get('content-type', 'an untyped body')!r}")
    answer = decode(response.content)
    if answer.errors:
        raise problem_error(answer.errors, where)
    if response.status_code == 404:
        raise VendorRefused(f"{where}: 404, there is no such thing")
    return answer


_BY_CATEGORY: dict[str, type[TallyhookError]] = {
    "AUTHENTICATION_ERROR": AuthRejected,
    "RATE_LIMIT_ERROR": RateLimited,
    "INVALID_REQUEST_ERROR": VendorRefused,
    "API_ERROR": Unavailable,
}
EXPIRED_CURSOR = "INVALID_CURSOR"
NO_SCOPE = frozenset(("FORBIDDEN", "INSUFFICIENT_SCOPES"))
"""Codes of a valid token that lacks a permission."""


class CursorRefused(BadAnswer):
    """A cursor that has expired: a 400, but beginning again does help, so it is not for a dead letter."""


def problem_error(problems: list[Problem], where: str) -> TallyhookError:
    """The error of our tree for Square's ``errors`` list: the first entry decides, as it does for the status."""
    first = problems[0]
    text = f"{where}: {first.category} {first.code}: {first.detail or 'no detail'} {first.field or ''}".rstrip()
    if first.category == "AUTHENTICATION_ERROR" and first.code in NO_SCOPE:
        return VendorForbidden(text)
    if first.code == EXPIRED_CURSOR:
        return CursorRefused(f"{text}; the read must begin again")
    return _BY_CATEGORY.get(first.category or "", BadAnswer)(text)
