"""Reads the objects that some items name by id.

Nothing is kept beyond one read, because names change.
"""

from collections.abc import Collection, Iterable
from typing import Any

from app.domain import batches
from app.errors import VendorForbidden
from app.sources.square.catalog_wire import Json
from app.sources.square.client import CATALOG_IDS, Client
from app.sources.square.isolation import id_in
from app.sources.square.mentions import Known, mentioned, objects, separate_values
from app.sources.square.objects import is_live_item


class Related:
    """The objects that the items of one read mention; each is fetched once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked: set[str] = set()
        self._things: dict[str, Json] = {}
        self._places: Collection[str] | None = None

    def to(self, rows: Iterable[Any]) -> Known:
        """The objects that the live items among these rows mention.

        Costs one call for each thousand objects not fetched yet, and one for the locations where some item is not
        everywhere.
        """
        items = [row for row in rows if is_live_item(row)]
        self._read(one for item in items for one in mentioned(item))
        self._read(value for item in items for value in separate_values(item, self._things))
        if self._places is None and any(_is_not_everywhere(item) for item in items):
            self._places = self._open_places()
        return Known(self._things, self._places or ())

    def _read(self, wanted: Iterable[str]) -> None:
        missing = set(wanted) - self._asked
        for ids in batches(sorted(missing), CATALOG_IDS):
            self._things |= {id_in(thing): thing for thing in self._client.catalog_related(ids) if id_in(thing)}
        self._asked |= missing

    def _open_places(self) -> list[str]:
        """The ids of the open locations; none if the token may not read them, because then no product is to blame."""
        try:
            return [id_in(place) for place in self._client.locations().locations if _is_open(place)]
        except VendorForbidden:
            return []


def _is_not_everywhere(item: Json) -> bool:
    data = objects([item.get("item_data")])
    variations = [one for own in data for one in objects(own.get("variations"))]
    things = (item, *variations)
    return any(thing.get("absent_at_location_ids") or thing.get("present_at_location_ids") for thing in things)


def _is_open(place: Any) -> bool:
    return bool(id_in(place)) and id_in(place, "status") != "INACTIVE"
