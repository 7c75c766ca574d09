"""A merchant at work: edits of every sort, close together, mostly of the same few items."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import cast

import msgspec

from app.domain import Change, Kind, Listing, key_of
from app.prove.shop import Key, Shop

AMOUNTS: Mapping[Kind, tuple[str, Callable[[int], object], int, int]] = {
    Kind.PRODUCT: ("price_minor", int, 100, 9_999),
    Kind.STOCK: ("quantity", Decimal, 0, 40),
    Kind.ORDER: ("total_minor", int, 100, 90_000),
}
"""The amount of a record that edits change: its field, its type, and from where to where it goes."""

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
        is_there = last.kind in AMOUNTS and last.key in self._shop.rows[last.kind]
        return self._change(last.kind, last.key) if is_there else []

    def _change(self, kind: Kind, key: Key, **fields: object) -> list[Change]:
        """Give a record another amount, and other fields."""
        name, make, least, most = AMOUNTS[kind]
        fields[name] = make(self._rng.randint(least, most))
        return [self._shop.put(msgspec.structs.replace(self._shop.rows[kind][key], **fields))]

    def _hot(self, kind: Kind) -> Key | None:
        keys = sorted(self._shop.rows[kind])
        if not keys:
            return None
        return keys[self._rng.randrange(min(HOT, len(keys)))] if self._rng.random() < 0.7 else self._rng.choice(keys)

    def _rename(self) -> list[Change]:
        key = self._hot(Kind.PRODUCT)
        return self._change(Kind.PRODUCT, key, name=f"Thing {key[0]} {self._rng.randint(100, 999)}") if key else []

    def _sell(self) -> list[Change]:
        key = self._hot(Kind.STOCK)
        return self._change(Kind.STOCK, key) if key else []

    def _order(self) -> list[Change]:
        key = self._hot(Kind.ORDER) if self._rng.random() < 0.6 else None
        return self._change(Kind.ORDER, key) if key else [self._shop.create_order()]

    def _create(self) -> list[Change]:
        change = self._shop.create_product()
        item, counts = change.external_id, self._shop.rows[Kind.STOCK]
        own = [count for key, count in counts.items() if key[0] == item or key[0].startswith(f"{item}v")]
        return [change, *(self._shop.put(count) for count in own)]

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
