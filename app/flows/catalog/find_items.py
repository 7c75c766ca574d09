"""Finds items by SKU, name, barcode, supplier SKU or id, by a part of a word, and with a typing error."""

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal

import msgspec

from app.errors import InvalidRequest, Unavailable
from app.flows.catalog.following import follow
from app.flows.catalog.items import ItemId
from app.flows.deps import Deps, visible_connections
from app.rules.search import Texts, looked_up, near, parts_of, rank, words_of
from app.stores.catalog.naming import on_hand
from app.stores.search import Entry, Lost, SearchIndex

CANDIDATES = 400
"""So many matches are ranked; among more, any of them may be missing, but none whose number
or name equals the query."""

MISTYPED_CANDIDATES = 500
"""So many items are compared with mistyped words, letter by letter."""

TRIES = 3
"""A broken file is made again, and one that cannot be made is given up for memory, within one search."""


class FoundItem(msgspec.Struct, frozen=True):
    """A living listing; ``on_hand`` is the sum over all locations, ``None`` where no count is known."""

    id: str
    connection: str
    external_id: str
    sku: str | None
    name: str | None
    barcode: str | None
    supplier_sku: str | None
    on_hand: Decimal | None


def find_items(deps: Deps, query: str, *, limit: int) -> list[FoundItem]:
    """The items that match a query, the best first; raises ``InvalidRequest`` for one without a word.

    If no item has all words, those that differ by a typing error are shown.
    """
    words = words_of(query)
    if not words:
        follow(deps)  # raises what a caller must hear first: that the database is away
        raise InvalidRequest("say what to look for: a SKU, a barcode, or a part of a name")
    found = _entries(deps, words)[:limit]
    with deps.database.read() as conn:
        stock = on_hand(conn, [(entry.connection, entry.external_id) for entry in found])
    return [
        FoundItem(
            str(ItemId(entry.connection, entry.external_id)),
            *entry[:3],
            entry.name,
            entry.barcode,
            entry.supplier_sku,
            stock.get((entry.connection, entry.external_id)),
        )
        for entry in found
    ]


def _entries(deps: Deps, words: Sequence[str]) -> list[Entry]:
    visible = visible_connections(deps)
    for _ in range(TRIES):
        with suppress(Lost):
            follow(deps)
            return _matches(deps.search, words, visible) or _near_ones(deps.search, words, visible)
    raise Unavailable("the search index of this host broke several times; try again in a few seconds", retry_after=5)


def _matches(index: SearchIndex, words: Sequence[str], visible: Sequence[str]) -> list[Entry]:
    query = " ".join(words)
    entries = index.named(query, visible, CANDIDATES)
    if parts := [part for word in words for part in looked_up(word)]:
        entries += index.containing(parts, (), visible, CANDIDATES)
    ranked = [(rank(_texts(entry), words), entry) for entry in dict.fromkeys(entries)]
    return [entry for place, entry in sorted(ranked, key=_order) if place is not None]


def _order(ranked: tuple[float | None, Entry]) -> tuple[bool, float, str, str]:
    place, entry = ranked
    return place is None, place or 0, (entry.name or "").casefold(), entry.external_id


def _near_ones(index: SearchIndex, words: Sequence[str], visible: Sequence[str]) -> list[Entry]:
    """Entries that differ from the words by a typing error: the halves of the longest word lead to them."""
    longest = max(words, key=len)
    parts = parts_of(longest)
    if not parts:
        return []
    entries = index.containing((), parts, visible, MISTYPED_CANDIDATES)
    ranked = [(near(_texts(entry), words), entry) for entry in entries]
    alike = [(-likeness, entry) for likeness, entry in ranked if likeness is not None]
    return [entry for _, entry in sorted(alike, key=_order)]


def _texts(entry: Entry) -> Texts:
    *numbers, name = entry.folded()
    return Texts(tuple(one for one in numbers if one), name)
