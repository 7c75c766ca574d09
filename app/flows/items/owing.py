"""Owes items that a list only names, that mention a changed object, or whose records were refused."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection

from app.domain import KINDS, Cause, Change, ItemKey, Kind, Page, Record, batches, item_of, key_of
from app.flows.deps import Deps
from app.stores import catalog, owed
from app.stores.catalog import Applied, HeldVersion

BATCH_SIZE = 500
"""Items per commit. One long transaction would make the receiver's acknowledgements wait."""


def owe_refused(
    deps: Deps, conn: Connection, connection: str, records: Sequence[Record], applied: Applied
) -> list[ItemKey]:
    """Owe the items of records that a tombstone or a later read refused: only a new fetch shows which is true."""
    if not applied.refused:
        return []
    refused = {key for _, key in applied.refused}
    changes = {Change(KINDS[type(record)], item_of(record)) for record in records if key_of(record) in refused}
    ordered = sorted(changes, key=lambda change: (change.kind, change.external_id))
    return owed.owe(conn, connection, ordered, Cause.LOOKUP, deps.now())


class NewlyOwed(NamedTuple):
    """How many of the hinted items we do not hold, and those that were not owed before and need a message (``fresh``)."""

    unseen: int
    fresh: list[ItemKey]


def changes_by_mention(deps: Deps, connection: str, page: Page) -> list[Change]:
    """The items to read again because an object that their listings mention has changed."""
    with deps.database.read() as conn:
        return [Change(Kind.PRODUCT, item) for item in catalog.mentioning(conn, connection, page.mentioned)]


def owe_unknown(deps: Deps, connection: str, kind: Kind, changes: Sequence[Change], cause: Cause) -> NewlyOwed:
    """Owe the hinted items that we do not hold, a few per commit.

    An overlapping read names many items that we already have in that version.
    """
    owed_now = NewlyOwed(0, [])
    for some in batches(changes, BATCH_SIZE):
        with deps.database.begin() as conn:
            more = owe_unknown_in(conn, connection, kind, some, cause, deps.now())
        owed_now = NewlyOwed(owed_now.unseen + more.unseen, owed_now.fresh + more.fresh)
    return owed_now


def owe_unknown_in(
    conn: Connection, connection: str, kind: Kind, changes: Sequence[Change], cause: Cause, now: datetime
) -> NewlyOwed:
    """``owe_unknown`` within one transaction."""
    unheld = unknown(conn, connection, kind, changes)
    return NewlyOwed(len(unheld), owed.owe(conn, connection, unheld, cause, now))


def unknown(conn: Connection, connection: str, kind: Kind, changes: Sequence[Change]) -> list[Change]:
    """Those of the hinted items that we do not hold in the version that the hint names."""
    held = catalog.versions(conn, connection, kind, [change.external_id for change in changes])
    return [change for change in changes if not _is_known(change, held.get(change.external_id))]


def _is_known(change: Change, held: HeldVersion | None) -> bool:
    if held is None or change.version == 0:
        return False
    edited = datetime.fromtimestamp(change.version / 1_000_000, UTC)
    return held.version >= change.version and held.read_at >= edited + catalog.READ_LAG
