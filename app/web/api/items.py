"""Operations about items: what one is, what changed it, what its stock was, and the feed of all changes."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from app.flows.catalog import changes, find_items, item_history, items
from app.flows.catalog.changes import Changes
from app.flows.catalog.item_history import ItemHistory, StockAsOf
from app.flows.catalog.items import ItemView
from app.flows.deps import Deps
from app.web.api.operation import Operations
from app.web.api.params import Moment, Most, Params, Text
from app.web.api.responses import FoundItems, given

ITEMS = "/api/items"

ItemName = Annotated[
    Text,
    Meta(
        description="connection:external id; an SKU or id alone will do if only one item has it",
        examples=["acme:10001"],
    ),
]


class ItemSearch(Params, frozen=True, kw_only=True):
    """What to look for."""

    q: Annotated[
        str,
        Meta(
            max_length=500,
            pattern=r"^[^\x00]*$",
            description="a SKU, barcode, supplier SKU, id, or words of a name; parts of words will do",
        ),
    ] = ""
    limit: Most = 20


class ItemHistoryPage(Params, frozen=True, kw_only=True):
    """A page of an item's changes."""

    limit: Most = 50
    before: Annotated[Text, Meta(description='"next" of the previous page')] | UnsetType = UNSET


class StockThen(Params, frozen=True, kw_only=True):
    """An item's stock as of a moment; now if none is given."""

    as_of: Moment | UnsetType = UNSET


class ChangesPage(Params, frozen=True, kw_only=True):
    """The next changes behind a cursor."""

    cursor: (
        Annotated[
            Text,
            Meta(description='"cursor" of the last answer; "now" for later changes only; all that are kept without'),
        ]
        | UnsetType
    ) = UNSET
    limit: Most = 100


operations = Operations()


@operations.get(ITEMS, "the best matches, the best first", errors=(422,), heavy=True)
def find_items_by_text(deps: Deps, params: ItemSearch) -> FoundItems:
    """Find items by what they are called."""
    return FoundItems(find_items.find_items(deps, params.q, limit=params.limit))


@operations.get(ITEMS + "/{item:path}", "the item, its stock by location, and the same SKU elsewhere", errors=(409,))
def show_item(deps: Deps, item: ItemName) -> ItemView:
    """One item."""
    return items.show(deps, items.the_one(deps, item))


@operations.get(ITEMS + "/{item:path}/history", "a page of changes, newest first", errors=(409, 422), heavy=True)
def show_item_history(deps: Deps, item: ItemName, params: ItemHistoryPage) -> ItemHistory:
    """What changed an item, and what brought each change."""
    return item_history.item_history(deps, items.the_one(deps, item), limit=params.limit, before=given(params.before))


@operations.get(ITEMS + "/{item:path}/stock", "the counts of that moment by location", errors=(409,), heavy=True)
def show_stock_as_of(deps: Deps, item: ItemName, params: StockThen) -> StockAsOf:
    """An item's stock as it was at a moment."""
    moment: datetime = given(params.as_of) or deps.now()
    return item_history.stock_as_of(deps, items.the_one(deps, item), moment)


@operations.get(
    "/api/changes", "changes in the order of their commits, and the cursor to read on from", errors=(422,), heavy=True
)
def follow_changes(deps: Deps, params: ChangesPage) -> Changes:
    """What changed since a cursor."""
    return changes.changes_after(deps, given(params.cursor), params.limit)
