"""What changed in the merchant's own data: an item's history, its stock as of a moment, and the feed of all changes."""

from app.stores.history.as_of import CountThen, known_since, stock_as_of
from app.stores.history.feed import Cursor, after, begin_of, end, leads_on
from app.stores.history.rows import (
    CREATED,
    DELETED,
    HAND,
    LOADED,
    LOADING,
    PAST,
    SINCE,
    UPDATED,
    AppliedChange,
    of_item,
    place_of,
    place_text,
)
