"""A span of time that a bulk read is narrowed to."""

from datetime import datetime
from typing import NamedTuple

from msgspec import structs

from app.domain import Page


class Period(NamedTuple):
    """From ``since`` to ``until``, both included and aware; ``None`` is an open end."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, modified: datetime | None) -> bool:
        """Whether the period includes a record last modified then; an unknown time counts as older than all others."""
        if modified is None:
            return self.since is None
        return (self.since is None or self.since <= modified) and (self.until is None or modified <= self.until)


EVERYTHING = Period()


def narrowed(page: Page, period: Period) -> Page:
    """A page of a whole read as one of a period: without records known to lie outside, and without watermark or
    claim."""
    inside = [record for record in page.records if record.modified_at is None or period.holds(record.modified_at)]
    return structs.replace(page, records=inside, watermark=None, complete=None)
