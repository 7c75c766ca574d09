"""The traits of a product in a batch: changes that the guard may doubt."""

import re
from typing import NamedTuple

from app.domain import Listing
from app.rules.guard.findings import Trait


class OldListing(NamedTuple):
    """What the guard reads of a product that we hold."""

    sku: str | None
    name: str | None
    description: str | None
    category: str | None
    barcode: str | None
    price_minor: int | None
    currency: str | None
    active: bool
    deleted: bool
    version: int
    row_hash: int


class Taken(NamedTuple):
    """Names, SKUs and barcodes of a batch that other live products have."""

    names: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    barcodes: frozenset[str] = frozenset()


def product_traits(new: Listing | OldListing, old: OldListing | None, taken: Taken) -> Trait:
    """What a batch does (or did) to one product."""
    if old is None or old.deleted:
        twin = Trait.TWIN if new.sku in taken.skus and not new.deleted else Trait.NONE
        return (Trait.NEW if old is None else Trait.NONE) | twin
    if new.deleted:
        return Trait.DELETED
    traits = Trait.INACTIVE if old.active and not new.active else Trait.NONE
    is_others = is_taken(new, old, taken) or (new.name != old.name and new.name in taken.names)
    if is_others or _is_unlike(old.name, new.name) or _is_unlike(old.sku, new.sku):
        traits |= Trait.UNLIKE
    columns = {old.sku, old.description, old.category, old.barcode} - {None, "", old.name}
    if new.name != old.name and new.name in columns:
        traits |= Trait.SHIFTED
    before = (old.name, old.sku, old.barcode, old.category, old.price_minor)
    if any(was and not now for was, now in zip(before, _identity(new), strict=True)):
        traits |= Trait.EMPTIED
    if old.price_minor and new.price_minor and new.price_minor != old.price_minor:
        traits |= Trait.PRICED
    if old.currency and new.currency and old.currency != new.currency:
        traits |= Trait.CURRENCY
    return traits


def is_taken(new: Listing | OldListing, old: OldListing, taken: Taken) -> bool:
    """Whether a product gets the SKU or barcode of another one."""
    return (new.sku != old.sku and new.sku in taken.skus) or (
        new.barcode != old.barcode and new.barcode in taken.barcodes
    )


def _identity(new: Listing | OldListing) -> tuple[object, ...]:
    return (new.name, new.sku, new.barcode, new.category, new.price_minor)


def _is_unlike(old: str | None, new: str | None) -> bool:
    """Whether two texts have nothing in common: no word, and neither contains the other."""
    if not old or not new or old == new or old in new or new in old:
        return False
    return not _words(old) & _words(new)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{2,}", text.casefold()))
