"""The dirty set: which items have changes not yet settled, who works on each, and when it may be tried (again).

An item comes in by ``remember``, is leased by ``claim``, and leaves by ``settle`` (or ``fail``, to come back later).
Where a statement must wait for rows it locks them in the order of their keys, and where it need not wait it skips
them, so that receivers, workers and sweeps never deadlock.
"""

from app.stores.owed.claiming import Claim, claim, drop, extend, fail, is_suspect, postpone, release
from app.stores.owed.covering import Noted, noted, settle_noted
from app.stores.owed.remembering import OWE_WANTED, SKEW, Wanted, add, owe, remember, revive, revive_all, wake
from app.stores.owed.settling import settle
from app.stores.owed.sweeping import EVER, backlog, count, defer, due, is_owed, newer, overdue

__all__ = [
    "EVER",
    "OWE_WANTED",
    "SKEW",
    "Claim",
    "Noted",
    "Wanted",
    "add",
    "backlog",
    "claim",
    "count",
    "defer",
    "drop",
    "due",
    "extend",
    "fail",
    "is_owed",
    "is_suspect",
    "newer",
    "noted",
    "overdue",
    "owe",
    "postpone",
    "release",
    "remember",
    "revive",
    "revive_all",
    "settle",
    "settle_noted",
    "wake",
]
