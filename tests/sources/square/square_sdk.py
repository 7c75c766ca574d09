"""Square's own SDK as a judge: what it asks is noted, and what it is answered must be valid by its own types."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pydantic
from square import Square

from tests.sources.square.square_account import TOKEN

OLDER = frozenset({"item_variation_vendor_infos", "default_unit_cost"})
"""Spellings of older versions that the SDK has no fields for any more; the merchant's own objects keep them."""


class Said(NamedTuple):
    """One request and the document that answered it."""

    request: tuple[str, str, bytes]
    answer: bytes


class Judge:
    """An SDK client and all that passed through it."""

    def __init__(self, url: str) -> None:
        self.said: list[Said] = []
        self._http = httpx.Client(timeout=60, event_hooks={"response": [self._note]})
        self.sdk = Square(token=TOKEN, base_url=url, httpx_client=self._http)

    def close(self) -> None:
        """Give connections back."""
        self._http.close()

    def _note(self, response: httpx.Response) -> None:
        request = response.request
        self.said.append(Said((request.method, str(request.url.raw_path), request.content), response.read()))

    def check(self, answer: Any) -> None:
        """Raises for an answer that the SDK's types do not hold, or that has a field they do not know."""
        model = answer.response if hasattr(answer, "iter_pages") else answer
        valid = type(model).model_validate_json(self.said[-1].answer)
        unknown = sorted(set(extras(valid)) - OLDER)
        assert not unknown, f"fields that the SDK does not know: {unknown}"


def extras(thing: Any) -> Iterator[str]:
    """The names of all fields, also nested ones, that the SDK's types do not have."""
    if isinstance(thing, pydantic.BaseModel):
        yield from (thing.model_extra or {}).keys()
        for name in type(thing).model_fields:
            yield from extras(getattr(thing, name))
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from extras(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from extras(value)


def dumped(thing: Any) -> dict[str, Any]:
    """An object of the SDK as a dictionary; some come as one already."""
    result: dict[str, Any] = thing if isinstance(thing, dict) else thing.dict()
    return result


def ids(things: Any) -> list[str]:
    """The ids of some objects."""
    return [dumped(thing)["id"] for thing in things or []]
