"""The simulated catalog calls; items can also be searched by where they are sold, and by what is left of them."""

import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.simulating.answers import Json
from app.sources.square.simulator.answers import ApiError, invalid, not_found, reply
from app.sources.square.simulator.catalog import Position
from app.sources.square.simulator.catalog_json import as_of
from app.sources.square.simulator.catalog_query import Query, has_words, in_order, understood
from app.sources.square.simulator.catalog_related import mentioned, named
from app.sources.square.simulator.clock import catalog_text
from app.sources.square.simulator.counts import IN_STOCK
from app.sources.square.simulator.edits import Edits
from app.sources.square.simulator.pages import from_place
from app.sources.square.simulator.request_catalog import (
    CatalogBatch,
    CatalogDetails,
    CatalogSearch,
    ItemSearch,
    ObjectType,
)
from app.sources.square.simulator.strict import (
    flag,
    listed,
    one_of,
    parameters,
    request_body,
    stamp,
    version_of,
    whole,
)
from app.sources.square.simulator.world import World

TOP_TYPES = ("ITEM", "CATEGORY", "TAX", "MODIFIER_LIST", "MEASUREMENT_UNIT", "ITEM_OPTION")
"""What a search without types finds, as far as this account has any; variations, images and other parts do not come."""

LIMITS = {
    "batch_upsert_max_objects_per_batch": 1000,
    "batch_upsert_max_total_objects": 10000,
    "batch_retrieve_max_object_ids": 1000,
    "search_max_page_limit": 1000,
    "batch_delete_max_object_ids": 200,
}
ROWS = 100
NOT_ARCHIVED, ARCHIVED = "ARCHIVED_STATE_NOT_ARCHIVED", "ARCHIVED_STATE_ARCHIVED"


class CatalogApi:
    """/v2/catalog."""

    def __init__(self, world: World, edits: Edits) -> None:
        self._world = world
        self._edits = edits
        self._deleting_until = 0.0
        self.routes = [
            Route("/v2/catalog/list", self.list_objects),
            Route("/v2/catalog/info", self.info),
            Route("/v2/catalog/search", self.search, methods=["POST"]),
            Route("/v2/catalog/batch-retrieve", self.batch_retrieve, methods=["POST"]),
            Route("/v2/catalog/object/{object_id}", self.delete, methods=["DELETE"]),
            Route("/v2/catalog/object/{object_id}", self.one),
            Route("/v2/catalog/search-catalog-items", self.search_items, methods=["POST"]),
        ]

    async def info(self, request: Request) -> Response:
        """Live limits."""
        parameters(request)
        return reply(limits=LIMITS)

    async def list_objects(self, request: Request) -> Response:
        """Pages of 100, never deleted objects."""
        given = parameters(request, "types", "cursor", "catalog_version")
        self._refuse_the_past(whole(given, "catalog_version"))
        types = [one.upper() for one in listed(given, "types")] or list(TOP_TYPES)
        one_of(types, get_args(ObjectType), "types")
        objects, cursor = self._world.pages.page("list", given, lambda at: self._walk(types, -1, False, at), ROWS)
        return reply(objects=as_of(version_of(request), objects), cursor=cursor)

    async def search(self, request: Request) -> Response:
        """Changed since ``begin_time`` (exclusive), or all; grouped by type in order of creation, unless sorted."""
        body, wanted = await request_body(request, CatalogSearch)
        _refuse_both(wanted)
        query = understood(wanted.query)
        types: Sequence[str] = wanted.object_types or ([query.about] if query.about else TOP_TYPES)
        begin = stamp(wanted.begin_time, -1) // 1000
        # With begin_time deleted objects were seen even without asking for them.
        deleted = bool(wanted.include_deleted_objects) or begin >= 0
        limit = wanted.limit if wanted.limit is not None and 1 <= wanted.limit <= 1000 else 100
        objects, cursor = self._world.pages.page(
            "search", body, lambda at: self._found(types, begin, deleted, query, at), limit
        )
        latest = catalog_text(self._world.catalog.latest)
        return reply(**self._detailed(request, objects, deleted, wanted), cursor=cursor, latest_time=latest)

    def _found(
        self, types: Sequence[str], begin: int, deleted: bool, query: Query, at: Any
    ) -> Iterator[tuple[Any, Json]]:
        if query.order is None:
            return ((place, one) for place, one in self._walk(types, begin, deleted, at) if query.matches(one))
        fitting = (one for _, one in self._walk(types, begin, deleted, None) if query.matches(one))
        return from_place(in_order(fitting, query.order), at)

    def _walk(
        self, types: Sequence[str], begin: int, deleted: bool, at: Position | None
    ) -> Iterator[tuple[Any, Json]]:
        return self._world.catalog.walk(types, begin, deleted, at or Position())

    async def batch_retrieve(self, request: Request) -> Response:
        """Objects by id, without unknown ids, and without deleted objects unless requested."""
        _, wanted = await request_body(request, CatalogBatch)
        _refuse_both(wanted)
        self._refuse_the_past(wanted.catalog_version)
        deleted = bool(wanted.include_deleted_objects)
        objects = self._shown(dict.fromkeys(wanted.object_ids), deleted)
        return reply(**self._detailed(request, objects, deleted, wanted))

    def _detailed(self, request: Request, objects: list[Json], deleted: bool, wanted: CatalogDetails) -> Json:
        """The objects, and the related ones if they are wanted, as the version of the request shows them."""
        related = self._related(objects, deleted) if wanted.include_related_objects else []
        shown = [self._with_path(one) for one in objects] if wanted.include_category_path_to_root else objects
        version = version_of(request)
        return {"objects": as_of(version, shown), "related_objects": as_of(version, related)}

    def _shown(self, ids: Iterable[str], deleted: bool) -> list[Json]:
        objects = (self._world.catalog.object_json(one) for one in ids)
        return [one for one in objects if one is not None and (deleted or not one["is_deleted"])]

    def _with_path(self, thing: Json) -> Json:
        """A category with those above it, anything else as it is."""
        if thing["type"] != "CATEGORY":
            return thing
        categories = self._world.catalog.categories
        state = next(one for one in categories if one.id == thing["id"])
        return self._world.catalog.json.category_json(state, with_path=True)

    def _related(self, objects: Sequence[Json], deleted: bool) -> list[Json]:
        """What these objects name and is not among them; one level deep."""
        here = {one["id"] for one in objects}
        named = dict.fromkeys(id_ for one in objects for id_ in mentioned(one))
        return self._shown((id_ for id_ in named if id_ not in here), deleted)

    def _refuse_the_past(self, version: int | None) -> None:
        """No former state is kept."""
        if version not in (None, self._world.catalog.latest):
            raise invalid(f"There is no catalog of version {version}.", "INVALID_VALUE", "catalog_version")

    async def one(self, request: Request) -> Response:
        """One live object."""
        related, path = "include_related_objects", "include_category_path_to_root"
        given = parameters(request, related, path, "catalog_version")
        self._refuse_the_past(whole(given, "catalog_version"))
        objects = self._shown([request.path_params["object_id"]], deleted=False)
        if not objects:
            raise not_found(f"Catalog object with ID {request.path_params['object_id']} not found.")
        wanted = CatalogDetails(
            include_related_objects=flag(given, related), include_category_path_to_root=flag(given, path)
        )
        found = self._detailed(request, objects, False, wanted)
        return reply(object=found["objects"][0], related_objects=found["related_objects"])

    async def delete(self, request: Request) -> Response:
        """Deletes cascade; a second one at the same time is refused with 429. Only items can be deleted here."""
        parameters(request)
        object_id = request.path_params["object_id"]
        index = self._world.catalog.place_of(object_id, "ITM")
        if index is None or index >= self._world.catalog.items:
            if self._world.catalog.object_json(object_id) is not None:
                raise invalid("This object cannot be deleted.", "BAD_REQUEST", "object_id")
            raise not_found(f"Catalog object with ID {object_id} not found.")
        if time.monotonic() < self._deleting_until:
            raise ApiError(429, "RATE_LIMIT_ERROR", "RATE_LIMITED", "Only one delete can run at a time.")
        self._deleting_until = time.monotonic() + self._world.options.delete_seconds
        ids = [object_id, *(one.id for one in self._world.catalog.item(index).live())]
        self._edits.delete(index)
        self._world.on_change()
        deleted_at = catalog_text(self._world.catalog.latest)
        return reply(deleted_object_ids=ids, deleted_at=deleted_at)

    async def search_items(self, request: Request) -> Response:
        """Live items by name. Those that are archived are not found unless asked for."""
        body, wanted = await request_body(request, ItemSearch)
        if wanted.custom_attribute_filters:
            raise invalid("No such custom attribute is defined.", "INVALID_VALUE", "custom_attribute_filters")
        fitting = sorted(self._such_items(wanted), key=_name, reverse=wanted.sort_order == "DESC")
        limit = wanted.limit or ROWS
        rows, cursor = self._world.pages.page("items", body, partial(from_place, fitting), limit)
        matched = [one["id"] for row in rows for one in self._matched(row, wanted)]
        items = as_of(version_of(request), rows)
        return reply(items=items, matched_variation_ids=matched, cursor=cursor)

    def _such_items(self, wanted: ItemSearch) -> Iterator[Json]:
        for _, item in self._world.catalog.walk(["ITEM"], -1, False, Position()):
            texts = not wanted.text_filter or has_words(item, wanted.text_filter.split())
            if self._is_such(item, wanted) and (self._matched(item, wanted) or (texts and not wanted.stock_levels)):
                yield item

    def _is_such(self, item: Json, wanted: ItemSearch) -> bool:
        """Whether the item itself passes all filters but those of text and stock."""
        data = item["item_data"]
        state = ARCHIVED if data.get("is_archived") else NOT_ARCHIVED
        return (
            (wanted.archived_state or NOT_ARCHIVED) in (state, "ARCHIVED_STATE_ALL")
            and (not wanted.category_ids or bool(set(wanted.category_ids) & set(named(item, "categories.id"))))
            and (not wanted.product_types or data["product_type"] in wanted.product_types)
            and all(_is_sold_at(item, place) for place in wanted.enabled_location_ids or ())
        )

    def _matched(self, item: Json, wanted: ItemSearch) -> list[Json]:
        """The variations that text and stock filters speak of; of a text they may leave the item to match it."""
        if not wanted.text_filter and not wanted.stock_levels:
            return []
        words = (wanted.text_filter or "").split()
        texts = has_words(item, words)
        return [
            one
            for one in item["item_data"]["variations"]
            if (texts or has_words(one, words))
            and (not wanted.stock_levels or self._level(one) in wanted.stock_levels)
        ]

    def _level(self, variation: Json) -> str:
        """OUT where none is left at some location, LOW where less than its alert says, else nothing."""
        number = self._world.catalog.place_of(variation["id"], "VAR")
        counts = [] if number is None else self._world.counts.of(number)
        left = min((one.quantity for one in counts if one.place.state == IN_STOCK), default=None)
        if left is None:
            return ""
        threshold = variation["item_variation_data"].get("inventory_alert_threshold")
        return "OUT" if left <= 0 else "LOW" if threshold is not None and left <= threshold else ""


def _refuse_both(wanted: CatalogDetails) -> None:
    if wanted.include_deleted_objects and wanted.include_category_path_to_root:
        raise ApiError(500, "API_ERROR", "INTERNAL_SERVER_ERROR", "An internal error has occurred.")


def _is_sold_at(item: Json, place: str) -> bool:
    if item["present_at_all_locations"]:
        return place not in (item.get("absent_at_location_ids") or [])
    return place in (item.get("present_at_location_ids") or [])


def _name(item: Json) -> tuple[str, str]:
    return item["item_data"]["name"].casefold(), item["id"]
