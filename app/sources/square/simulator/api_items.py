"""The simulated search for items: by what they are, where they are sold, and what is left of them."""

from collections.abc import Iterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.square.simulator.answers import Json, invalid, reply
from app.sources.square.simulator.catalog import Position
from app.sources.square.simulator.catalog_json import as_of
from app.sources.square.simulator.catalog_query import has_words
from app.sources.square.simulator.counts import IN_STOCK
from app.sources.square.simulator.mentioned import categories_of
from app.sources.square.simulator.pages import from_place
from app.sources.square.simulator.request_catalog import ItemSearch
from app.sources.square.simulator.strict import request_body, version_of
from app.sources.square.simulator.world import World

ROWS = 100
NOT_ARCHIVED, ARCHIVED = "ARCHIVED_STATE_NOT_ARCHIVED", "ARCHIVED_STATE_ARCHIVED"


class ItemsApi:
    """/v2/catalog/search-catalog-items."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.routes = [Route("/v2/catalog/search-catalog-items", self.search, methods=["POST"])]

    async def search(self, request: Request) -> Response:
        """Live items by name. Those that are archived are not found unless asked for."""
        body, wanted = await request_body(request, ItemSearch)
        if wanted.custom_attribute_filters:
            raise invalid("No such custom attribute is defined.", "INVALID_VALUE", "custom_attribute_filters")
        fitting = sorted(self._found(wanted), key=_name, reverse=wanted.sort_order == "DESC")
        limit = wanted.limit or ROWS
        rows, cursor = self._world.pages.page("items", body, partial(from_place, fitting), limit)
        matched = [one["id"] for row in rows for one in self._matched(row, wanted)]
        items = as_of(version_of(request), rows)
        return reply(items=items, matched_variation_ids=matched, cursor=cursor)

    def _found(self, wanted: ItemSearch) -> Iterator[Json]:
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
            and (not wanted.category_ids or bool(set(wanted.category_ids) & set(categories_of(item))))
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


def _is_sold_at(item: Json, place: str) -> bool:
    if item["present_at_all_locations"]:
        return place not in (item.get("absent_at_location_ids") or [])
    return place in (item.get("present_at_location_ids") or [])


def _name(item: Json) -> tuple[str, str]:
    return item["item_data"]["name"].casefold(), item["id"]
