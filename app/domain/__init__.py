"""What we talk about: items, changes, and the six kinds of record, as frozen values without I/O.

Quantities are ``Decimal`` (at most 5 decimals, no exponent, no trailing zeros), money is integer minor units beside
an ISO 4217 currency, times are aware UTC datetimes.
"""

from app.domain.access import TALLYHOOK, Role, Who
from app.domain.reads import Answer, BadRecord, Delivery, Page
from app.domain.records import (
    KINDS,
    ON_HAND,
    ON_ORDER,
    RECORDS,
    RESERVED,
    Category,
    Listing,
    Location,
    Order,
    Record,
    StockCount,
    Vendor,
    check_storable,
    key_of,
    row_hash,
)
from app.domain.runs import OPTION_NAMES, STATUS_SPELLINGS, Options, Status, Strategy, options_of, status_of
from app.domain.values import INT32, INT64, batches, micros, quantity, to_json
from app.domain.words import (
    SKU_PREFIX,
    WHOLE,
    Absent,
    Cause,
    Change,
    ConnectionState,
    ItemKey,
    Kind,
    Ref,
    Scope,
    Verdict,
)

__all__ = [
    "INT32",
    "INT64",
    "KINDS",
    "ON_HAND",
    "ON_ORDER",
    "OPTION_NAMES",
    "RECORDS",
    "RESERVED",
    "SKU_PREFIX",
    "STATUS_SPELLINGS",
    "TALLYHOOK",
    "WHOLE",
    "Absent",
    "Answer",
    "BadRecord",
    "Category",
    "Cause",
    "Change",
    "ConnectionState",
    "Delivery",
    "ItemKey",
    "Kind",
    "Listing",
    "Location",
    "Options",
    "Order",
    "Page",
    "Record",
    "Ref",
    "Role",
    "Scope",
    "Status",
    "StockCount",
    "Strategy",
    "Vendor",
    "Verdict",
    "Who",
    "batches",
    "check_storable",
    "key_of",
    "micros",
    "options_of",
    "quantity",
    "row_hash",
    "status_of",
    "to_json",
]
