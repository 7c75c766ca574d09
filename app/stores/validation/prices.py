"""Finds listings that have prices, but none in the chosen price list; the finding names their lists."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection

from app.stores.sql.statements import Statement
from app.stores.validation.asking import Check, Cutoffs, Finding

_LIST_FIELDS = ("price_list", "productPriceTypeId")
"""What an entry of ``Listing.prices`` calls its list."""


class _NoneChosen:
    """Counts, per price list, the listings for sale that have a price there but none in the chosen list."""

    checks = (Check("price_list_not_chosen", ("price_list", "listings", "item")),)

    def ask(self, conn: Connection, connection: str, cutoffs: Cutoffs, samples: int) -> list[Finding]:
        """The finding; its samples are price lists, those with the most prices first."""
        rows = _UNPRICED.run(conn, {"connection": connection})
        unchosen = [(item, lists) for item, prices in rows if (lists := _lists(prices))]
        times = Counter(name for _, lists in unchosen for name in lists)
        first = {name: item for item, lists in reversed(unchosen) for name in lists}
        shown = [
            {"price_list": name, "listings": times[name], "item": first[name]} for name, _ in times.most_common()
        ]
        return [Finding(self.checks[0].name, len(unchosen), shown[:samples])]


_UNPRICED = Statement(
    """
    SELECT external_id, prices FROM listings
    WHERE connection = :connection AND NOT deleted AND active AND price_minor IS NULL AND prices IS NOT NULL
    ORDER BY external_id
    """
)
NONE_CHOSEN = _NoneChosen()


def _lists(prices: str) -> list[str]:
    """The lists in which a listing has a price."""
    try:
        entries: Any = msgspec.json.decode(prices)
    except msgspec.DecodeError:
        return []
    priced = [one for one in _objects(entries) if one.get("price") is not None]
    return [name for one in priced for field in _LIST_FIELDS if isinstance(name := one.get(field), str)]


def _objects(entries: Any) -> Iterable[dict[str, Any]]:
    return (one for one in entries if isinstance(one, dict)) if isinstance(entries, list) else ()
