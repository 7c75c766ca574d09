"""Replays as rows: opened with all their members, leased by the worker that drives them, judged by the outcome.

Each step is one transaction, so a crash between any two lines neither loses nor doubles a letter.
"""

from app.stores.replays.driving import end, end_member, give_way, hold, overdue, send, sending, start, unfinished
from app.stores.replays.judging import first_failure, judge, progress
from app.stores.replays.opening import add_items, add_letters, open_
from app.stores.replays.rows import STATES, Member, Progress, ReplayRow, Skipped, connections, get, latest
