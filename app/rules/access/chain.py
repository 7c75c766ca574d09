"""The audit log's chain: each entry's hash covers the entry and the hash of the one before."""

import hashlib
from datetime import datetime

import msgspec

BEGINNING = "0" * 64
"""What the first entry carries as the hash before it."""

HASHED = ("number", "at", "who", "role", "origin", "action", "subject", "connection", "before", "after", "why")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it is stored and archived: ``at`` is in UTC, ``before`` and ``after`` are JSON text. ``number`` is 0
    where an archived entry has lost it."""

    number: int = 0
    at: datetime
    who: str
    role: str
    origin: str
    action: str
    subject: str
    connection: str | None
    before: str | None
    after: str | None
    why: str | None
    previous: str
    hash: str = ""


def link(entry: Entry, previous: str) -> str:
    """The hash of an entry (SHA-256, hex): over ``previous`` and the ``HASHED`` fields as a JSON list."""
    values = [
        entry.at.isoformat(timespec="microseconds") if name == "at" else getattr(entry, name) for name in HASHED
    ]
    return hashlib.sha256(msgspec.json.encode([previous, *values])).hexdigest()
