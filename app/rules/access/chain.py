"""The audit log's chain: each entry's hash covers the entry and the hash of the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

BEGINNING = "0" * 64
"""What the first entry carries as the hash before it."""

HASHED = ("number", "at", "who", "role", "origin", "action", "subject", "connection", "before", "after", "why")


def link(entry: Mapping[str, Any], previous: str) -> str:
    """The hash of an entry (SHA-256, hex): over ``previous`` and the ``HASHED`` fields as a JSON list.

    ``at`` is an aware UTC datetime; ``before``, ``after`` and ``why`` are text or ``None``.
    """
    told = [entry[name].isoformat(timespec="microseconds") if name == "at" else entry[name] for name in HASHED]
    return hashlib.sha256(msgspec.json.encode([previous, *told])).hexdigest()
