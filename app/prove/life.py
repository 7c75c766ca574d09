"""A merchant at work: edits of every sort, close together, mostly of the same few items."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import cast

import msgspec

from app.domain import Change, Kind, Listing, Order, StockCount, key_of
from app.prove.shop import Key, Shop

HOT = 4
"""Most edits concern this many items: a race needs two edits of one item."""


class Merchant:
    """Edits one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._rng = shop.rng
        self._removed: list[tuple[Kind, str]] = []

    def edit(self) -> list[Change]:
        """Make one edit, or some within a second; returns the changes that webhooks would announce."""
        actions: Sequence[tuple[int, Callable[[], list[Change]]]] = (
            (30, self._rename),
            (30, self._sell),
            (12, self._order),
            (6, self._create),
            (18, self._delete),
            (15, self._create_again),
            (4, self._rename_place),
            (3, self._stop_counting),
        )
        (action,) = self._rng.choices([action for _, action in actions], [weight for weight, _ in actions])
        return action()

    def edit_again(self) -> list[Change]:
        """Change the last edited record once more: where versions are seconds, often within the same version."""
        last = self._shop.edits[-1]
        record = self._shop.rows[last.kind].get(last.key)
        if isinstance(record, Listing):
            return [self._shop.put(msgspec.structs.replace(record, price_minor=self._rng.randint(100, 9_999)))]
        if isinstance(record, StockCount):
            return [self._shop.put(msgspec.structs.replace(record, quantity=Decimal(self._rng.randint(0, 40))))]
        if isinstance(record, Order):
            return [self._shop.put(msgspec.structs.replace(record, total_minor=self._rng.randint(100, 90_000)))]
        return []

    def _hot(self, kind: Kind) -> Key | None:
        keys = sorted(self._shop.rows[kind])
        if not keys:
            return None
        return keys[self._rng.randrange(min(HOT, len(keys)))] if self._rng.random() < 0.7 else self._rng.choice(keys)

    def _rename(self) -> list[Change]:
        key = self._hot(Kind.PRODUCT)
        if key is None:
            return []
        listing = self._shop.rows[Kind.PRODUCT][key]
        name = f"Thing {key[0]} {self._rng.randint(100, 999)}"
        price = self._rng.randint(100, 9_999)
        return [self._shop.put(msgspec.structs.replace(listing, name=name, price_minor=price))]

    def _sell(self) -> list[Change]:
        key = self._hot(Kind.STOCK)
        if key is None:
            return []
        count = self._shop.rows[Kind.STOCK][key]
        return [self._shop.put(msgspec.structs.replace(count, quantity=Decimal(self._rng.randint(0, 40))))]

    def _order(self) -> list[Change]:
        key = self._hot(Kind.ORDER) if self._rng.random() < 0.6 else None
        if key is None:
            return [self._shop.create_order()]
        order = self._shop.rows[Kind.ORDER][key]
        return [self._shop.put(msgspec.structs.replace(order, total_minor=self._rng.randint(100, 90_000)))]

    def _create(self) -> list[Change]:
        change = self._shop.create_product()
        counts = [key for key in self._shop.rows[Kind.STOCK] if self._is_of(key, change.external_id)]
        return [change, *(self._restamp(key) for key in counts)]

    def _is_of(self, key: Key, item: str) -> bool:
        return key[0] == item or key[0].startswith(f"{item}v")

    def _restamp(self, key: Key) -> Change:
        return self._shop.put(self._shop.rows[Kind.STOCK][key])

    def _delete(self) -> list[Change]:
        key = self._hot(Kind.PRODUCT)
        if key is None or len(self._shop.rows[Kind.PRODUCT]) < 6:
            return []
        item = self._shop.item_of(self._shop.rows[Kind.PRODUCT][key])
        listings = self._shop.of_item(Kind.PRODUCT, item)
        if len(listings) > 1 and self._rng.random() < 0.4:
            listings = listings[:1]  # one variation alone
        elif not self._shop.style.varied and self._rng.random() < 0.4:
            listing = listings[0]
            return [self._shop.put(msgspec.structs.replace(cast(Listing, listing), active=False))]
        self._removed.append((Kind.PRODUCT, item))
        return [self._shop.remove(Kind.PRODUCT, key_of(listing)) for listing in listings][-1:]

    def _create_again(self) -> list[Change]:
        if not self._removed:
            return []
        kind, item = self._removed.pop(self._rng.randrange(len(self._removed)))
        return [] if self._shop.of_item(kind, item) else [self._shop.put_product(item)]

    def _rename_place(self) -> list[Change]:
        kind = self._rng.choice((Kind.LOCATION, Kind.VENDOR))
        key = self._hot(kind)
        if key is None:
            return []
        place = self._shop.rows[kind][key]
        return [self._shop.put(msgspec.structs.replace(place, name=f"Name {self._rng.randint(100, 999)}"))]

    def _stop_counting(self) -> list[Change]:
        """Remove a count, where a missing count means zero."""
        if Kind.STOCK not in self._shop.style.whole:
            return []
        key = self._hot(Kind.STOCK)
        if key is None or len(self._shop.rows[Kind.STOCK]) < 6:
            return []
        return [self._shop.remove(Kind.STOCK, key)]
