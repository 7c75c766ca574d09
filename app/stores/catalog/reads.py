"""The result of one read, in the shape that the catalog applies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.domain import UNKNOWN_WRITER, Record, Ref, Scope

Key = tuple[str, ...]
"""A record's key inside its connection and kind."""


@dataclass(frozen=True)
class Read:
    """The records of one read, the scopes that it ``covers`` completely, the refs that are ``gone``, and the records that
    it showed unreadably (``failed``: the first part of their keys, each with the id of its item; both are empty if not even
    the id could be read). ``began`` is when it began, ``by`` what it was made for (``SyncColumns.written_by``), with those
    of single items in ``by_item``."""

    records: Sequence[Record]
    began: datetime
    covers: Sequence[Scope] = ()
    gone: Sequence[Ref] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    by: str = UNKNOWN_WRITER
    by_item: Mapping[str, str] = field(default_factory=dict)

    def written_by(self, item: str) -> str:
        """What brings the rows of an item."""
        return self.by_item.get(item, self.by)
