"""How many rows of a batch do what a rule may doubt: asked first, because to judge a batch is to count the whole shop."""

from __future__ import annotations

from app.domain import Kind, Listing, key_of, row_hash
from app.rules.guard_findings import GONE, IDENTITY, MONEY, Trait
from app.rules.guard_traits import OldListing, Taken, product_traits
from app.stores.engine import Database
from app.stores.guard.batch import Batch, with_old
from app.stores.guard.stock import OldCount, is_tenfold

_NOBODY = Taken()


def doubtful(database: Database, connection: str, batch: Batch) -> int:
    """Of products or counts, those that end, fall to zero, or change their names, codes, prices or decimal point."""
    if batch.kind is Kind.PRODUCT:
        products = with_old(database, connection, Kind.PRODUCT, batch, OldListing._fields, OldListing, key_of)
        return len(batch.vanished) + sum(_is_doubtful(new, old) for new, old in products)
    counts = with_old(database, connection, Kind.STOCK, batch, OldCount._fields, OldCount, key_of)
    return len(batch.vanished) + sum(
        old is not None and not old.deleted and _falls_or_jumps(float(old.quantity), float(new.quantity))
        for new, old in counts
    )


def _is_doubtful(new: Listing, old: OldListing | None) -> bool:
    if old is None or old.deleted or new.version < old.version or row_hash(new) == old.row_hash:
        return False
    codes = (new.sku, new.barcode) != (old.sku, old.barcode)
    return codes or product_traits(new, old, _NOBODY) & (GONE | IDENTITY | MONEY) != Trait.NONE


def _falls_or_jumps(before: float, after: float) -> bool:
    return before > 0 and (after <= 0 or is_tenfold(before, after))
