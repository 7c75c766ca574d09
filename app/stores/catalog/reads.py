"""The result of one read, in the shape that the catalog applies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain import Record, Ref, Scope

Key = tuple[str, ...]
"""A record's key inside its connection and kind."""


@dataclass(frozen=True)
class Read:
    """The records of one read, the scopes that it ``covers`` completely, the refs that are ``gone``, and the ids of records
    that it showed unreadably (``failed``). ``began`` is when it began."""

    records: Sequence[Record]
    began: datetime
    covers: Sequence[Scope] = ()
    gone: Sequence[Ref] = ()
    failed: Collection[str] = ()
