"""Finds items by SKU, name, barcode, supplier SKU or id, by a part of a word, and with a typing error."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec
import structlog

from app.domain import Kind
from app.errors import InvalidRequest
from app.flows.catalog.items import ItemId
from app.flows.deps import Deps, visible_connections
from app.rules.search import SHORTEST_PART, Texts, near, parts_of, rank, words_of
from app.stores import history
from app.stores.catalog.naming import CalledListing, named_listings, on_hand
from app.stores.search import Entry, SearchIndex

CANDIDATES = 400
"""So many matches are ranked; among more, any of them may be missing, but none whose number begins with the query."""

BATCH_SIZE = 500

log = structlog.get_logger()


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
    follow(deps)
    words = words_of(query)
    if not words:
        raise InvalidRequest("say what to look for: a SKU, a barcode, or a part of a name")
    visible = set(visible_connections(deps))
    entries = _matches(deps.search, words, visible) or _near_ones(deps.search, words, visible)
    found = entries[:limit]
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


def follow(deps: Deps) -> None:
    """Bring the index up to the newest change. The first time, and after the database was replaced, it is filled anew."""
    with deps.search.following:
        cursor = deps.search.cursor()
        while cursor is not None:
            try:
                cursor, is_done = _step(deps, cursor)
            except InvalidRequest:  # the cursor is of another database
                break
            if is_done:
                return
        _fill(deps)


def _step(deps: Deps, text: str) -> tuple[str | None, bool]:
    """Follow some changes behind a cursor; returns the next one, ``None`` if all must be read again, and whether this was
    the last step."""
    with deps.database.read() as conn:
        last = history.end(conn)
        everywhere = sorted(deps.sources)
        changes, cursor = history.after(
            conn, history.Cursor.parse(text), everywhere, BATCH_SIZE, kinds=[Kind.PRODUCT]
        )
        ids: dict[str, list[str]] = {}
        for change in changes:
            ids.setdefault(change.connection, []).append(change.external_id)
        listings = {connection: named_listings(conn, connection, some) for connection, some in ids.items()}
    if any(change.op == history.LOADED for change in changes):
        return None, False
    following = str(cursor if changes else last)
    if following != text:
        _write(deps, text, following, ids, listings)
    return following, not changes


def _write(
    deps: Deps, text: str, following: str, ids: Mapping[str, list[str]], listings: Mapping[str, list[CalledListing]]
) -> None:
    with deps.search.writing() as index:
        if index.cursor() != text:
            return  # another process was here
        for connection, some in ids.items():
            index.remove(connection, some)
            index.put(Entry(*row) for row in listings[connection])
        index.move(following)


def _fill(deps: Deps) -> None:
    """Read all living listings. Changes made meanwhile are shown behind the cursor, which is taken first."""
    with deps.database.read() as conn:
        cursor = history.end(conn)
    count = 0
    with deps.search.writing() as index:
        index.clear()
        for connection in sorted(deps.sources):
            for entries in _all(deps, connection):
                index.put(entries)
                count += len(entries)
        index.move(str(cursor))
    log.info("search_index_filled", items=count)


def _all(deps: Deps, connection: str) -> Iterator[list[Entry]]:
    after = ""
    while True:
        with deps.database.read() as conn:
            rows = named_listings(conn, connection, after=after, limit=BATCH_SIZE * 10)
        if not rows:
            return
        yield [Entry(*row) for row in rows]
        after = rows[-1].external_id


def _matches(index: SearchIndex, words: Sequence[str], visible: set[str]) -> list[Entry]:
    query = " ".join(words)
    entries = index.named(query, CANDIDATES)
    if parts := [word for word in words if len(word) >= SHORTEST_PART]:
        entries += index.containing(parts, (), CANDIDATES)
    ranked = [(rank(_texts(entry), words), entry) for entry in _seen(entries, visible)]
    return [entry for place, entry in sorted(ranked, key=_order) if place is not None]


def _order(ranked: tuple[float | None, Entry]) -> tuple[bool, float, str, str]:
    place, entry = ranked
    return place is None, place or 0, (entry.name or "").casefold(), entry.external_id


def _near_ones(index: SearchIndex, words: Sequence[str], visible: set[str]) -> list[Entry]:
    """Entries that differ from the words by a typing error: the halves of the longest word lead to them."""
    longest = max(words, key=len)
    parts = parts_of(longest)
    if not parts:
        return []
    ranked = [
        (near(_texts(entry), words), entry) for entry in _seen(index.containing((), parts, CANDIDATES * 5), visible)
    ]
    alike = [(-likeness, entry) for likeness, entry in ranked if likeness is not None]
    return [entry for _, entry in sorted(alike, key=_order)]


def _seen(entries: Sequence[Entry], visible: set[str]) -> list[Entry]:
    return list(dict.fromkeys(entry for entry in entries if entry.connection in visible))


def _texts(entry: Entry) -> Texts:
    numbers = (entry.sku, entry.barcode, entry.supplier_sku, entry.external_id)
    return Texts(tuple(one.casefold() for one in numbers if one), (entry.name or "").casefold())
