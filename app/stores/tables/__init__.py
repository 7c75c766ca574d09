"""Every table, as SQLModel classes: six of the merchant's own data, the rest of what Tallyhook must remember."""

from app.stores.tables.access import AccessToken, AuditArchive, AuditEntry, Session, User
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
from app.stores.tables.connections import ConnectionRow
from app.stores.tables.replays import Replay, ReplayItem
from app.stores.tables.runs import (
    Beat,
    BudgetUse,
    Drift,
    FailedItem,
    Hold,
    HoldRow,
    Run,
    RunPage,
    Schedule,
    Watermark,
)
from app.stores.tables.truth import (
    AgreementDay,
    FullRead,
    Mark,
    Refusal,
    Removal,
    Restore,
    SpotCheck,
    SpotCheckTurn,
    UsualDay,
)
from app.stores.tables.watch import Alert, Gap
from app.stores.tables.work import Attempt, CallSlot, DeadLetter, InboxEvent, OwedItem, SettledSlot, Settlement

__all__ = [
    "CATALOG",
    "AccessToken",
    "AgreementDay",
    "Alert",
    "Answer",
    "Attempt",
    "AuditArchive",
    "AuditEntry",
    "Beat",
    "BudgetUse",
    "CallSlot",
    "CategoryRow",
    "ConnectionRow",
    "DeadLetter",
    "Drift",
    "FailedItem",
    "FullRead",
    "Gap",
    "Hold",
    "HoldRow",
    "InboxEvent",
    "Kept",
    "ListingRow",
    "LocationRow",
    "Mark",
    "OrderRow",
    "OwedItem",
    "Refusal",
    "Removal",
    "Replay",
    "ReplayItem",
    "Restore",
    "Run",
    "RunPage",
    "Schedule",
    "Session",
    "SettledSlot",
    "Settlement",
    "SpotCheck",
    "SpotCheckTurn",
    "StockRow",
    "User",
    "UsualDay",
    "VendorRow",
    "Watermark",
]
