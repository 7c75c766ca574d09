"""The account's own names for price lists and categories.

Categories are documented (``productUserCategoryList``). No public document describes the price lists: every list with
"price" in its name is searched.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

_ID = re.compile(r"##\w+|[A-Z0-9]+(_[A-Z0-9]+)+", re.IGNORECASE)
_ID_FIELDS = ("attrName", "productPriceTypeId")
_NAME_FIELDS = ("label", "name", "description")
_CATEGORIES = "productUserCategoryList"


class Customization:
    """The account's names, read when the first one is needed by ``read``."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._document: dict[str, Any] | None = None

    def forget(self) -> None:
        """Read again when the next name is needed: names change without notice."""
        self._document = None

    def price_list(self, wanted: str | None) -> str | None:
        """The id of the wanted list (``LIST_PRICE``, ``##user6``).

        Text that is not spelled like an id is looked up as a name, in any case. An unknown name is returned as it is,
        and no product has a price in such a list.
        """
        if wanted is None or _ID.fullmatch(wanted):
            return wanted
        lists = (value for key, value in self._all().items() if "price" in key.lower())
        named = (pair for listed in lists for pair in _named(listed))
        return next((id_ for id_, name in named if name.casefold() == wanted.casefold()), wanted)

    def categories(self) -> Mapping[str, str]:
        """Names of categories by the ids (``##user01``) that products use in the older spelling."""
        return dict(_named(self._all().get(_CATEGORIES)))

    def _all(self) -> dict[str, Any]:
        if self._document is None:
            try:
                document = msgspec.json.decode(self._read())
            except msgspec.DecodeError:
                document = None
            self._document = document if isinstance(document, dict) else {}
        return self._document


def _named(listed: Any) -> list[tuple[str, str]]:
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    names = [(_first(entry, _ID_FIELDS), _first(entry, _NAME_FIELDS)) for entry in entries]
    return [(id_, name) for id_, name in names if id_ and name]


def _first(entry: dict[str, Any], fields: tuple[str, ...]) -> str | None:
    return next((entry[name] for name in fields if isinstance(entry.get(name), str) and entry[name]), None)
