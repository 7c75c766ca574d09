"""Fetches leased items from their source and applies the answers to the catalog, several in one commit."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.domain import (
    ALL_ITEMS,
    SKU_PREFIX,
    Answer,
    Cause,
    ItemKey,
    Kind,
    Record,
    Ref,
    item_of,
    key_of,
)
from app.flows.deps import Deps
from app.flows.items.bad_records import Failure, isolated, unstorable
from app.flows.items.fetched import Fetched, Outcome, read_of
from app.rules.letters.retry import wait_for_item, wait_for_version
from app.sources import exchanges
from app.sources.base import Source
from app.stores import catalog, owed
from app.stores.catalog import Applied, HeldVersion, Key, Read, watermarks
from app.stores.owed import Claim
from app.stores.runs import failed_items, run_pages, runs


@dataclass
class Committed:
    """The outcome of a commit: items that changed meanwhile and need a message (``again``), and claims that ``failed``."""

    again: list[ItemKey] = field(default_factory=list)
    failed: list[tuple[Claim, str]] = field(default_factory=list)


def fetch(deps: Deps, source: Source, claims: Sequence[Claim]) -> Fetched:
    """Fetch at most one batch of the source; raises what the source raises."""
    began = deps.now()
    refs = refs_of(deps, [claim.key for claim in claims])
    with exchanges.watched():
        return Fetched(claims, refs, source.fetch(list(refs.values())), began)


def commit(deps: Deps, fetched: Sequence[Fetched]) -> Committed:
    """Apply the answers and settle their claims, all in one transaction.

    An answer is not written at all if one of its leases was lost: whoever took the item over reads later.
    """
    return deps.database.transact(lambda conn: _commit(deps, conn, fetched))


def write_storable(deps: Deps, fetched: Fetched) -> list[Failure]:
    """Write the records of an answer that can be stored, settle nothing, and return the failures of the others. Writes
    nothing once a lease is lost."""
    failures: list[Failure] = []

    def write(some: Sequence[Record]) -> None:
        def work(conn: Connection) -> None:
            if len(owed.still_held(conn, fetched.claims)) == len(fetched.claims):
                key, reads = fetched.claims[0].key, [fetched.read_of(some)]
                catalog.apply_reads(conn, key.connection, reads, now=deps.now())

        deps.database.transact(work)

    isolated(fetched.answer.records, write, lambda record, error: failures.append(unstorable(record, error)))
    return failures


def _commit(deps: Deps, conn: Connection, fetched: Sequence[Fetched]) -> Committed:
    connection, now = fetched[0].claims[0].key.connection, deps.now()
    held = owed.still_held(conn, [claim for one in fetched for claim in one.claims])
    valid = [one for one in fetched if all(claim.key in held for claim in one.claims)]
    lost = [one for one in fetched if one not in valid]
    owed.release(conn, [claim for one in lost for claim in one.claims if claim.key in held])
    reads = [one.read() for one in valid]
    beside = _is_beside_bulk(conn, fetched[0].claims[0].key, reads)
    applied, closed = catalog.apply_reads(conn, connection, reads, now=now, beside_bulk=beside)
    written = set(applied.written)
    outcomes: list[Outcome] = []
    for one, gone in zip(valid, closed, strict=True):
        fenced = _fenced(conn, one) if applied.unchanged else []
        fenced += _overtaken(conn, one) if applied.created else []
        waiting = _ask_again(conn, one, now, fenced=fenced)
        read = one.outcomes(_changed(one.answer, written, gone))
        outcomes += [(claim, waiting.pop(claim.key, outcome)) for claim, outcome in read]
        outcomes += [(claim, waiting[claim.key]) for claim in one.not_yet() if claim.key in waiting]
    settled = [(claim, outcome) for claim, outcome in outcomes if outcome != _WAITS]
    readable = [one.refs[claim.key.external_id].external_id for one in valid for claim, _ in one.outcomes(set())]
    failed_items.resolve(conn, connection, fetched[0].claims[0].key.kind, readable, now)
    return Committed(owed.settle(conn, settled, now), [bad for one in valid for bad in one.failed()])


def _is_beside_bulk(conn: Connection, key: ItemKey, reads: Sequence[Read]) -> bool:
    """Whether an older bulk read, under way or suspended, may still write parts of these items. A run that reads pages or
    ids holds no lease on the kind."""
    if not any(scope.field == "parent_id" for read in reads for scope in read.covers):
        return False
    whole = key._replace(external_id=ALL_ITEMS)
    under_way = owed.is_leased(conn, whole) or runs.is_active(conn, key.connection)
    return under_way or run_pages.any_kept(conn, key.connection)


_WAITS = ""
"""In place of an outcome: the claim was released, and its item is fetched again soon."""


def _ask_again(conn: Connection, fetched: Fetched, now: datetime, *, fenced: Sequence[Claim]) -> dict[ItemKey, str]:
    """Release, for a while, claims of items that the source could not show yet; after that they are settled, and polls
    find the rest.

    Returns ``_WAITS`` for each such claim, or its outcome if it waited long enough: that an item of ours was not shown is no
    deletion.
    """
    unshown = fetched.not_yet()
    held = _held(conn, fetched, unshown)
    late = [
        (claim, wait_for_item(claim.asks, random.random()), "stale" if claim.key in held else "gone")  # noqa: S311
        for claim in unshown
    ]
    behind = _really_behind(conn, fetched)
    behind += [claim for claim in fenced if claim not in behind]
    late += [(claim, wait_for_version(claim.asks, random.random()), "stale") for claim in behind]  # noqa: S311
    for claim, wait, _ in late:
        if wait is not None:
            owed.ask_again(conn, [claim], next_at=now + timedelta(seconds=wait))
    return {claim.key: given_up if wait is None else _WAITS for claim, wait, given_up in late}


def _really_behind(conn: Connection, fetched: Fetched) -> list[Claim]:
    """Claims that are behind, except those whose newer version another read has brought."""
    behind = fetched.behind()
    held = _held(conn, fetched, behind)
    return [claim for claim in behind if claim.key not in held or held[claim.key].version < claim.version]


def _held(conn: Connection, fetched: Fetched, claims: Sequence[Claim]) -> dict[ItemKey, HeldVersion]:
    """What we hold of the items of some claims, by their keys."""
    if not claims:
        return {}
    key = claims[0].key
    ids = {claim.key: fetched.refs[claim.key.external_id].external_id for claim in claims}
    held = catalog.versions(conn, key.connection, key.kind, sorted(set(ids.values())))
    return {item: held[id] for item, id in ids.items() if id in held}


def _fenced(conn: Connection, fetched: Fetched) -> list[Claim]:
    """Claims of items that the answer shows, but that another read has found gone since this one began. Only a later fetch
    shows which is true."""
    kind = fetched.claims[0].key.kind
    living = {key_of(record): item_of(record) for record in fetched.answer.records if not record.deleted}
    if not living:
        return []
    gone = catalog.fenced(conn, fetched.claims[0].key.connection, kind, list(living))
    owners = {name for key in gone for name in (key[0], living[key])}
    return [claim for claim in fetched.claims if fetched.refs[claim.key.external_id].external_id in owners]


def _overtaken(conn: Connection, fetched: Fetched) -> Sequence[Claim]:
    """All claims, if their whole kind was read while this answer was under way: an item that the read no longer showed, and
    that we never had, left no tombstone. Only a later fetch shows whether it exists."""
    connection, kind, _ = fetched.claims[0].key
    whole = watermarks.whole_read_at(conn, connection, kind)
    return fetched.claims if whole is not None and whole > fetched.began else []


def apply_answer(
    conn: Connection, connection: str, answer: Answer, began: datetime, now: datetime, by: str = Cause.PERSON
) -> tuple[Applied, list[tuple[Kind, Key]]]:
    """Apply an answer to the catalog; returns the effect, and the rows that its scopes closed. ``by`` says what brought it
    (``SyncColumns.written_by``)."""
    pulled = owed.is_leased(conn, ItemKey(connection, Kind.PRODUCT, ALL_ITEMS))  # that pull may have read earlier
    reads = [read_of(answer, began, by)]
    applied, (closed,) = catalog.apply_reads(conn, connection, reads, now=now, beside_bulk=pulled)
    return applied, closed


def refs_of(deps: Deps, keys: Sequence[ItemKey]) -> dict[str, Ref]:
    """The refs to fetch, by the keys' external ids; all of one kind. Known SKUs become record ids."""
    refs = {key.external_id: Ref(key.kind, key.external_id) for key in keys}
    skus = [id for id in refs if id.startswith(SKU_PREFIX)]
    if skus:
        with deps.database.read() as conn:
            for sku in skus:
                id = catalog.resolve_sku(conn, keys[0].connection, sku.removeprefix(SKU_PREFIX))
                if id is not None:
                    refs[sku] = Ref(refs[sku].kind, id)
    return refs


def _changed(answer: Answer, written: set[Key], closed: Sequence[tuple[Kind, Key]]) -> set[str]:
    """The external ids of items that changed."""
    changed = {item_of(record) for record in answer.records if key_of(record) in written}
    changed.update(key[0] for _, key in closed)
    changed.update(scope.value for scope in answer.covers if closed and scope.value)
    return changed
