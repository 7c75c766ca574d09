"""What we talk about: items, changes, and the six kinds of record, as frozen values without I/O.

Quantities are ``Decimal`` (at most 5 decimals, no exponent, no trailing zeros), money is integer minor units beside
an ISO 4217 currency, times are aware UTC datetimes.
"""

from app.domain.access import TALLYHOOK, Principal, Role
from app.domain.reads import Answer, BadPast, BadRecord, Delivery, Page, PastChange, PastPage, Spot
from app.domain.records import (
    CATEGORY_JOINT,
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
    item_of,
    key_of,
    row_hash,
)
from app.domain.runs import STATUS_SPELLINGS, Options, Status, Strategy, status_of
from app.domain.values import INT32, INT64, JsonObject, batches, micros, quantity, to_json
from app.domain.words import (
    ALL_ITEMS,
    FIRST_LOAD_WRITER,
    SKU_PREFIX,
    UNKNOWN_WRITER,
    Cause,
    Change,
    ConnectionState,
    ItemKey,
    Kind,
    Mentioned,
    MissingPolicy,
    Ref,
    Scope,
    Verdict,
)
