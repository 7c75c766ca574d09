"""What a read said, as the catalog takes it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain import Record, Ref, Scope

Key = tuple[str, ...]
"""A record's key inside its connection and kind."""


@dataclass(frozen=True)
class Read:
    """What one read said: records, scopes that it ``covers`` completely, refs that are ``gone``, and the ids of records
    that it showed but that could not be read. ``began`` is when it began."""

    records: Sequence[Record]
    began: datetime
    covers: Sequence[Scope] = ()
    gone: Sequence[Ref] = ()
    failed: Collection[str] = ()
