"""Replays as rows: opened with everything they are to send, leased by whoever drives them, judged by what came of it.

Each step is one transaction, so a crash between any two lines neither loses nor doubles a letter.
"""

from app.stores.replays.driving import (
    Member,
    end,
    end_member,
    give_way,
    hold,
    overdue,
    send,
    sending,
    start,
    unfinished,
)
from app.stores.replays.judging import STATES, counts, first_failure, judge
from app.stores.replays.opening import add_items, add_letters, open_
from app.stores.replays.reading import connections, get, latest

__all__ = [
    "STATES",
    "Member",
    "add_items",
    "add_letters",
    "connections",
    "counts",
    "end",
    "end_member",
    "first_failure",
    "get",
    "give_way",
    "hold",
    "judge",
    "latest",
    "open_",
    "overdue",
    "send",
    "sending",
    "start",
    "unfinished",
]
