"""What the webhook receivers of all vendors do alike with a verified body."""

from typing import TypeVar

import msgspec

from app.domain import ALL_ITEMS, Change
from app.domain.decoding import decode
from app.sources.base import LONGEST_ID, PayloadInvalid
from app.sources.texts import clean_escapes

Shape = TypeVar("Shape")


def decoded(body: bytes, shape: type[Shape], expected: str) -> Shape:
    """The body as ``shape``; raises ``PayloadInvalid`` that says what was ``expected``, also for too deep nesting."""
    try:
        return decode(clean_escapes(body), shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadInvalid(f"expected {expected}: {error}") from error


def bounded(change: Change) -> Change:
    """The change; with an id that may not fit a key, that anything of its kind may have changed."""
    return change if len(change.external_id) <= LONGEST_ID else Change(change.kind, ALL_ITEMS)
