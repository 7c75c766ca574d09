"""Every table, as SQLModel classes: six of the merchant's own data, the rest of what Tallyhook must remember."""

from app.stores.tables.answers import Answer
from app.stores.tables.catalog import (
    CATALOG,
    CategoryRow,
    Kept,
    ListingRow,
    LocationRow,
    OrderRow,
    StockRow,
    VendorRow,
)
from app.stores.tables.runs import Beat, BudgetUse, Drift, FailedItem, Hold, Run, RunPage, Schedule, Watermark
from app.stores.tables.work import Attempt, DeadLetter, InboxEvent, OwedItem, SettledSlot, Settlement

__all__ = [
    "CATALOG",
    "Answer",
    "Attempt",
    "Beat",
    "BudgetUse",
    "CategoryRow",
    "DeadLetter",
    "Drift",
    "FailedItem",
    "Hold",
    "InboxEvent",
    "Kept",
    "ListingRow",
    "LocationRow",
    "OrderRow",
    "OwedItem",
    "Run",
    "RunPage",
    "Schedule",
    "SettledSlot",
    "Settlement",
    "StockRow",
    "VendorRow",
    "Watermark",
]
