"""Which price list a setting means: its id (``LIST_PRICE``, ``##user6``), or the name that the account gave it.

The names come from the account's ``customization``, as those of its categories do. That object's part for prices is in
no document that can be read: any list of it that has "price" in its name is looked through.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

_ID = re.compile(r"##\w+|[A-Z0-9]+(_[A-Z0-9]+)+", re.IGNORECASE)
_ID_FIELDS = ("attrName", "productPriceTypeId")
_NAME_FIELDS = ("label", "name", "description")


def list_id(wanted: str | None, customization: Callable[[], bytes]) -> str | None:
    """The id of the wanted list. What is not spelled like an id is looked up as a name, in any case; one that the account
    does not have stands for itself, and no product has a price in it."""
    if wanted is None or _ID.fullmatch(wanted):
        return wanted
    try:
        told = msgspec.json.decode(customization())
    except msgspec.DecodeError:
        return wanted
    return next((id_ for id_, name in _names(told) if name.casefold() == wanted.casefold()), wanted)


def _names(told: Any) -> list[tuple[str, str]]:
    lists = [value for key, value in told.items() if "price" in key.lower()] if isinstance(told, dict) else []
    entries = [one for value in lists if isinstance(value, list) for one in value if isinstance(one, dict)]
    found = [(_first(one, _ID_FIELDS), _first(one, _NAME_FIELDS)) for one in entries]
    return [(id_, name) for id_, name in found if id_ and name]


def _first(entry: dict[str, Any], fields: tuple[str, ...]) -> str | None:
    return next((entry[name] for name in fields if isinstance(entry.get(name), str) and entry[name]), None)
