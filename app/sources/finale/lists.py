"""What a whole list says of the items that it was read for, where Finale has no other way to ask for them."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain import WHOLE, Answer, Kind, Page, Scope, key_of


def listed(kind: Kind, ids: set[str], pages: Sequence[Page]) -> Answer:
    """What a whole read says of the items that it was made for. It may take away what no bulk read would be believed to: so
    of other items it says nothing, and without a row nothing at all."""
    records = [record for page in pages for record in page.records]
    failed = [bad for page in pages for bad in page.failed]
    complete = [page.complete for page in pages if page.complete]
    if WHOLE in ids:
        return Answer(records, covers=complete, failed=failed)
    named = [record for record in records if key_of(record)[0] in ids]
    bad = [one for one in failed if not one.external_id or one.external_id in ids]
    some = bool(records or failed)
    covers = [Scope(kind, "listing_id", id, scope.absent) for scope in complete for id in sorted(ids)]
    return Answer(named, covers=covers if some else [], failed=bad)
