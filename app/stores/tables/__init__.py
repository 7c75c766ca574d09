"""Every table as a SQLModel class: six of the merchant's own data, the others Tallyhook's own."""

from app.stores.tables.access import AccessToken, AuditArchive, AuditEntry, Session, SignInPlace, User
from app.stores.tables.catalog import CATALOG
from app.stores.tables.connections import ConnectionRow
from app.stores.tables.fields import core
from app.stores.tables.history import HistoryRow
from app.stores.tables.replays import Replay, ReplayItem
from app.stores.tables.runs import (
    BudgetUse,
    Drift,
    FailedItem,
    Heartbeat,
    Hold,
    HoldRow,
    Run,
    RunPage,
    Schedule,
    Watermark,
)
from app.stores.tables.subscribers import Subscriber
from app.stores.tables.truth import (
    DATABASE_MARK,
    HISTORY_MARK,
    AgreementDay,
    FullRead,
    Mark,
    Refusal,
    Removal,
    Restore,
    Slice,
    SpotCheck,
    SpotCheckTurn,
    TrickledChange,
    UsualDay,
)
from app.stores.tables.watch import Alert, CachedAnswer, Outage
from app.stores.tables.work import Attempt, CallSlot, DeadLetter, InboxEvent, OwedItem, SettledSlot, Settlement
