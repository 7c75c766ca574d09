"""The merchant's own rows: records are applied, newer wins, what is gone becomes a tombstone; and rows are read back."""

from app.stores.catalog.applying import Applied, apply, apply_reads
from app.stores.catalog.categories import category_names, of_category
from app.stores.catalog.closing import close_rows, ending, tombstone
from app.stores.catalog.mentioning import READ_LAG, mentioning
from app.stores.catalog.reading import (
    HeldVersion,
    StoredRow,
    counts,
    fenced,
    items_of,
    lately_read,
    owners_of,
    resolve_sku,
    row_ids,
    rows_of_items,
    stored_rows,
    versions,
)
from app.stores.catalog.reads import Key, Read
