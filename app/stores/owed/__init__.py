"""The owed items: which items have changes not yet settled, who works on each, and when it may be tried next.

An item comes in by ``owe``, is leased by ``claim``, and leaves by ``settle``, or comes back later by ``fail``. A statement
that must wait for rows locks them in the order of their keys, and any other skips locked rows, so that receivers, workers
and sweeps never deadlock.
"""

from app.stores.owed.claiming import NEVER, Claim, claim, is_poison_candidate, take
from app.stores.owed.covering import Noted, noted, settle_noted
from app.stores.owed.leases import ask_again, extend, fail, postpone, release, still_held
from app.stores.owed.owing import (
    OWE_PENDING,
    SKEW,
    PendingChanges,
    count_change,
    owe,
    owe_pending,
    revive,
    revive_all,
)
from app.stores.owed.settling import message_key, settle
from app.stores.owed.waiting import (
    EVER,
    Backlog,
    Overdue,
    backlog,
    count,
    defer,
    due,
    has_failed,
    is_leased,
    is_owed,
    newer,
    overdue,
)
