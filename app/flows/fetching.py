"""Asks a source for the truth about leased items, and brings the answers into the catalog: one commit for several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from app.domain import KINDS, SKU_PREFIX, Answer, ItemKey, Kind, Listing, Record, Ref, key_of
from app.flows.deps import Deps
from app.sources import exchanges
from app.sources.base import Source
from app.stores import catalog, owed
from app.stores.owed import Claim


@dataclass(frozen=True)
class Fetched:
    """An answer, whose claims it is for, and when the read of it began."""

    claims: Sequence[Claim]
    refs: Mapping[str, Ref]
    answer: Answer
    began: datetime

    def not_yet(self) -> list[Claim]:
        """Claims of items that the vendor announced but cannot show yet."""
        late = set(self.answer.not_yet)
        return [claim for claim in self.claims if self.refs[claim.key.external_id] in late]

    def outcomes(self, changed: set[str]) -> list[tuple[Claim, str]]:
        """What came of every claim that could be read; ``changed`` are the external ids with news."""
        late, gone = self.not_yet(), set(self.answer.gone)
        outcomes = []
        for claim in self.claims:
            ref = self.refs[claim.key.external_id]
            applied = "applied" if ref.external_id in changed else "unchanged"
            if claim not in late:
                outcomes.append((claim, "gone" if ref in gone else applied))
        return outcomes


def fetch(deps: Deps, source: Source, claims: Sequence[Claim]) -> Fetched:
    """Ask for at most a batch of the source; raises what the source raises."""
    began = deps.now()
    refs = refs_of(deps, [claim.key for claim in claims])
    with exchanges.watched():
        return Fetched(claims, refs, source.fetch(list(refs.values())), began)


def commit(deps: Deps, fetched: Sequence[Fetched]) -> list[ItemKey]:
    """Apply the answers and settle their claims, all in one transaction; returns what needs one more message."""
    connection = fetched[0].claims[0].key.connection
    with deps.database.begin() as conn:
        written = catalog.apply_reads(
            conn, connection, [(one.answer.records, one.began) for one in fetched], now=deps.now()
        )
        outcomes = []
        for one in fetched:
            closed = close(conn, connection, one.answer, one.began, deps.now())
            outcomes += one.outcomes(_changed(one.answer, set(written.written), closed))
        return owed.settle(conn, outcomes, deps.now())


def refs_of(deps: Deps, keys: Sequence[ItemKey]) -> dict[str, Ref]:
    """What to ask the source for, of keys of one kind: public SKUs are turned into record ids where we know them."""
    refs = {key.external_id: Ref(key.kind, key.external_id) for key in keys}
    skus = [asked for asked in refs if asked.startswith(SKU_PREFIX)]
    if skus:
        with deps.database.read() as conn:
            for asked in skus:
                known = catalog.resolve_sku(conn, keys[0].connection, asked.removeprefix(SKU_PREFIX))
                if known is not None:
                    refs[asked] = Ref(refs[asked].kind, known)
    return refs


def close(
    conn: Connection, connection: str, answer: Answer, began: datetime, now: datetime
) -> list[tuple[Kind, tuple[str, ...]]]:
    """Close what an answer says is gone; returns the rows of its scopes that it did not show."""
    shown = _shown(answer.records)
    closed = catalog.close_scopes(conn, connection, answer.covers, shown, read_at=began, now=now)
    catalog.tombstone(conn, connection, answer.gone, read_at=began, now=now)
    return closed


def _changed(
    answer: Answer, written: set[tuple[str, ...]], closed: Sequence[tuple[Kind, tuple[str, ...]]]
) -> set[str]:
    """The external ids under which something changed."""
    changed = {_owner(record) for record in answer.records if key_of(record) in written}
    changed.update(key[0] for _, key in closed)
    changed.update(scope.value for scope in answer.covers if closed and scope.value)
    return changed


def _shown(records: Sequence[Record]) -> dict[Kind, set[tuple[str, ...]]]:
    shown: dict[Kind, set[tuple[str, ...]]] = {}
    for record in records:
        shown.setdefault(KINDS[type(record)], set()).add(key_of(record))
    return shown


def _owner(record: Record) -> str:
    """The external id of the item a record was fetched for."""
    if isinstance(record, Listing) and record.parent_id is not None:
        return record.parent_id
    return key_of(record)[0]
