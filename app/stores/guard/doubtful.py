"""Selects the rows of a batch that a rule may doubt. This comes first, because judging a batch counts the whole shop."""

from app.domain import Kind, Listing, key_of, row_hash
from app.rules.guard.findings import GONE, IDENTITY, MONEY, Trait
from app.rules.guard.traits import OldListing, Taken, product_traits
from app.stores.catalog import Key
from app.stores.guard.batch import Batch, with_old
from app.stores.guard.stock import OldCount, is_tenfold
from app.stores.sql.engine import Database

_NOT_TAKEN = Taken()


def doubtful_products(database: Database, connection: str, batch: Batch) -> dict[Key, OldListing]:
    """Products that end, or whose names, codes, prices or currencies change: each as it was before."""
    columns, read = OldListing._fields, with_old
    shown = read(database, connection, Kind.PRODUCT, batch, columns, OldListing, key_of)
    ending = read(database, connection, Kind.PRODUCT, batch.vanished, columns, OldListing, tuple)
    changed = {key_of(new): old for new, old in shown if old is not None and _is_doubtful(new, old)}
    return changed | {key: old for key, old in ending if old is not None}


def doubtful_counts(database: Database, connection: str, batch: Batch) -> set[Key]:
    """Counts that end, fall to zero, or whose decimal point moves."""
    counts = with_old(database, connection, Kind.STOCK, batch, OldCount._fields, OldCount, key_of)
    return {
        *batch.vanished,
        *(
            key_of(new)
            for new, old in counts
            if old is not None and not old.deleted and _falls_or_jumps(float(old.quantity), float(new.quantity))
        ),
    }


def _is_doubtful(new: Listing, old: OldListing) -> bool:
    if old.deleted or new.version < old.version or row_hash(new) == old.row_hash:
        return False
    codes = (new.sku, new.barcode) != (old.sku, old.barcode)
    return codes or product_traits(new, old, _NOT_TAKEN) & (GONE | IDENTITY | MONEY) != Trait.NONE


def _falls_or_jumps(before: float, after: float) -> bool:
    return before > 0 and (after <= 0 or is_tenfold(before, after))
