"""The simulated catalog and inventory calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.square.simulator.answers import (
    ApiError,
    Json,
    body_of,
    invalid,
    json_response,
    limit_of,
    not_found,
    page,
    without_nothing,
)
from app.sources.square.simulator.catalog import Position
from app.sources.square.simulator.catalog_related import thing_json
from app.sources.square.simulator.catalog_things import CategoryState
from app.sources.square.simulator.clock import catalog_text, parse_us
from app.sources.square.simulator.counts import NEWEST, Count, count_json
from app.sources.square.simulator.edits import Edits
from app.sources.square.simulator.world import World

TOP_TYPES = ("ITEM", "CATEGORY")  # what a search without types finds; variations come nested
LIMITS = {
    "batch_upsert_max_objects_per_batch": 1000,
    "batch_upsert_max_total_objects": 10000,
    "batch_retrieve_max_object_ids": 1000,
    "search_max_page_limit": 1000,
    "batch_delete_max_object_ids": 200,
}


class CatalogApi:
    """/v2/catalog and /v2/inventory."""

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
            Route("/v2/inventory/counts/batch-retrieve", self.counts, methods=["POST"]),
            Route("/v2/inventory/{variation_id}", self.counts_of_one),
        ]

    async def info(self, request: Request) -> Response:
        """Live limits."""
        return json_response({"limits": LIMITS})

    async def list_objects(self, request: Request) -> Response:
        """Pages of 100, never deleted objects."""
        query = dict(request.query_params)
        types = [one.strip().upper() for one in query.get("types", "").split(",") if one.strip()] or list(TOP_TYPES)
        objects, cursor = page(self._world, "list", query, lambda at: self._walk(types, -1, False, at), 100)
        return json_response(without_nothing({"objects": objects, "cursor": cursor}))

    async def search(self, request: Request) -> Response:
        """Changed since ``begin_time`` (exclusive), or all; grouped by type in order of creation."""
        body = await body_of(request)
        self._refuse_what_square_refuses(body)
        types = body.get("object_types") or list(TOP_TYPES)
        begin = _begin_ms(body.get("begin_time"))
        # With begin_time deleted objects were seen even without asking for them.
        deleted = bool(body.get("include_deleted_objects")) or begin >= 0
        limit = limit_of(body, 100, 1000)
        objects, cursor = page(self._world, "search", body, lambda at: self._walk(types, begin, deleted, at), limit)
        latest = catalog_text(self._world.catalog.latest)
        return json_response(without_nothing({"objects": objects, "cursor": cursor, "latest_time": latest}))

    def _refuse_what_square_refuses(self, body: Json) -> None:
        if body.get("include_deleted_objects") and body.get("include_category_path_to_root"):
            raise ApiError(500, "API_ERROR", "INTERNAL_SERVER_ERROR", "An internal error has occurred.")
        sorted_by = (body.get("query") or {}).get("sorted_attribute_query") or {}
        if sorted_by.get("attribute_name") == "updated_at":
            raise invalid("The attribute updated_at cannot be sorted by.", field="query")

    def _walk(self, types: list[str], begin: int, deleted: bool, at: Position | None) -> Iterator[tuple[Any, Json]]:
        return self._world.catalog.walk(types, begin, deleted, at or Position())

    async def batch_retrieve(self, request: Request) -> Response:
        """By id; unknown ids, and deleted ones unless asked for, are left out."""
        body = await body_of(request)
        ids = body.get("object_ids") or []
        if len(ids) > LIMITS["batch_retrieve_max_object_ids"]:
            raise invalid("Cannot retrieve more than 1000 objects.", "ARRAY_LENGTH_TOO_LONG", "object_ids")
        deleted, with_path = _flag(body, "include_deleted_objects"), _flag(body, "include_category_path_to_root")
        if deleted and with_path:
            raise ApiError(500, "API_ERROR", "INTERNAL_SERVER_ERROR", "An internal error has occurred.")
        found = [self._object(one, with_path=with_path) for one in dict.fromkeys(ids)]
        shown = [one for one in found if one is not None and (deleted or not one["is_deleted"])]
        return json_response(without_nothing({"objects": shown}))

    def _object(self, object_id: str, *, with_path: bool = False) -> Json | None:
        catalog = self._world.catalog
        if (thing := catalog.things.find(object_id)) is not None:
            return thing_json(thing)
        found = catalog.find(object_id)
        if isinstance(found, CategoryState):
            return catalog.show.category_json(found, with_path=with_path)
        return None if found is None else catalog.show.object_json(found)

    async def one(self, request: Request) -> Response:
        """One live object."""
        found = self._object(request.path_params["object_id"])
        if found is None or found["is_deleted"]:
            raise not_found(f"Catalog object with ID {request.path_params['object_id']} not found.")
        return json_response({"object": found})

    async def delete(self, request: Request) -> Response:
        """Deletes cascade; a second one at the same time is refused with 429."""
        object_id = request.path_params["object_id"]
        index = self._world.catalog.place_of(object_id, "ITM")
        if index is None or index >= self._world.catalog.items:
            raise not_found(f"Catalog object with ID {object_id} not found.")
        if time.monotonic() < self._deleting_until:
            raise ApiError(429, "RATE_LIMIT_ERROR", "RATE_LIMITED", "Only one delete can run at a time.")
        self._deleting_until = time.monotonic() + self._world.options.delete_seconds
        ids = [object_id, *(one.id for one in self._world.catalog.item(index).live())]
        self._edits.delete(index)
        self._world.on_change()
        deleted_at = catalog_text(self._world.catalog.latest)
        return json_response({"deleted_object_ids": ids, "deleted_at": deleted_at})

    async def counts(self, request: Request) -> Response:
        """Newest first, 100 a page unless asked for more; absent rows are left out, not zero."""
        body = await body_of(request)
        limit = limit_of(body, 100, 1000)
        counts, cursor = page(self._world, "counts", body, lambda at: self._counts(body, at), limit)
        return json_response(without_nothing({"counts": counts, "cursor": cursor}))

    def _counts(self, body: Json, at: int | None) -> Iterator[tuple[int, Json]]:
        after = _us(body.get("updated_after"))
        locations, states = body.get("location_ids"), body.get("states")
        for count in self._candidates(body.get("catalog_object_ids"), at or NEWEST):
            if count.stamp <= after:
                return
            row = self._count_json(count)
            if (not locations or row["location_id"] in locations) and (not states or row["state"] in states):
                yield count.stamp + 1, row

    def _candidates(self, ids: list[str] | None, below: int) -> Iterator[Count]:
        if not ids:
            return self._world.counts.newest_first(below)
        places = (self._world.catalog.place_of(one, "VAR") for one in dict.fromkeys(ids))
        rows = [count for number in places if number is not None for count in self._world.counts.of(number)]
        return iter(sorted((row for row in rows if row.stamp < below), key=lambda row: -row.stamp))

    def _count_json(self, count: Count) -> Json:
        location = self._world.location_ids[count.place.location]
        return count_json(count, self._world.catalog.variation_id(count.place.ware), location)

    async def counts_of_one(self, request: Request) -> Response:
        """Counts of one variation."""
        body = {"catalog_object_ids": [request.path_params["variation_id"]]}
        return json_response(without_nothing({"counts": [row for _, row in self._counts(body, None)]}))


def _flag(body: Json, name: str) -> bool:
    return bool(body.get(name))


def _us(text: str | None) -> int:
    try:
        return parse_us(text) if text else -1
    except ValueError as error:
        raise invalid(f"{text!r} is no RFC 3339 timestamp.", "INVALID_TIME") from error


def _begin_ms(text: str | None) -> int:
    return _us(text) // 1000
