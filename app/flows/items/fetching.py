"""Asks a source for the truth about leased items, and brings the answers into the catalog: one commit for several."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from app.domain import KINDS, SKU_PREFIX, WHOLE, Answer, BadRecord, ItemKey, Kind, Record, Ref, key_of
from app.flows.deps import Deps
from app.flows.items.bad_records import Failure, isolated, item_of, unstorable
from app.rules.letters.retry import wait_for_item, wait_for_version
from app.sources import exchanges
from app.sources.base import Source
from app.stores import catalog, owed
from app.stores.catalog import Applied, Key, Read
from app.stores.owed import Claim
from app.stores.runs import failed_items, run_pages, runs

WAITS_FOR_A_PERSON = "it waits for a person"
"""Instead of an error, of a record that is held: it is shown, and nothing is said of it."""

Outcome = tuple[Claim, str]
"""A claim and what came of it: a settlement's ``outcome``."""


@dataclass(frozen=True)
class Fetched:
    """An answer, whose claims it is for, and when the read of it began. Of the items that are ``held`` it shows only what
    is beyond doubt."""

    claims: Sequence[Claim]
    refs: Mapping[str, Ref]
    answer: Answer
    began: datetime
    held: frozenset[str] = frozenset()

    def failed(self) -> list[tuple[Claim, str]]:
        """Claims of items that were shown but could not be read, each with what is wrong. A record without any id may be
        that of every item of which nothing else is said."""
        unread = [bad for bad in self.answer.failed if bad.error != WAITS_FOR_A_PERSON]
        errors = {name: bad.error for bad in unread for name in (bad.external_id, bad.owner)}
        nameless = next((bad.error for bad in unread if not bad.owner), None)
        told = self._told() if nameless is not None else set()
        unreadable = [
            (claim, errors.get(ref.external_id, None if ref.external_id in told else nameless))
            for claim, ref in ((claim, self._ref(claim)) for claim in self.claims)
        ]
        return [(claim, error) for claim, error in unreadable if error is not None]

    def _told(self) -> set[str]:
        """The external ids of items of which a readable answer was given."""
        shown = {name for record in self.answer.records for name in (item_of(record), key_of(record)[0])}
        return shown | {ref.external_id for ref in (*self.answer.gone, *self.answer.not_yet)}

    def not_yet(self) -> list[Claim]:
        """Claims of items that the vendor announced but cannot show yet."""
        late = set(self.answer.not_yet)
        return [claim for claim in self.claims if self._ref(claim) in late]

    def outcomes(self, changed: set[str]) -> list[Outcome]:
        """What came of every claim that could be read; ``changed`` are the external ids with news."""
        gone = set(self.answer.gone)
        unread = {claim.key for claim in self.not_yet()} | {claim.key for claim, _ in self.failed()}
        outcomes = []
        for claim in self.claims:
            ref = self._ref(claim)
            applied = "applied" if ref.external_id in changed else "unchanged"
            told = "held" if ref.external_id in self.held else "gone" if ref in gone else applied
            if claim.key not in unread:
                outcomes.append((claim, told))
        return outcomes

    def behind(self) -> list[Claim]:
        """Claims whose hint names a newer version than the answer shows, or of which it says nothing at all: it came
        from a replica that lags."""
        shown: dict[str, int] = defaultdict(int)
        for record in self.answer.records:
            shown[item_of(record)] = max(shown[item_of(record)], record.version)
        known = {ref.external_id for ref in (*self.answer.gone, *self.answer.not_yet)}
        known |= {str(scope.value) for scope in self.answer.covers} - set(shown) | self.held
        unread = {claim.key for claim, _ in self.failed()}
        return [
            claim
            for claim, ref in ((claim, self._ref(claim)) for claim in self.claims)
            if ref.external_id not in known and claim.key not in unread and claim.version > shown[ref.external_id]
        ]

    def without(self, failures: Sequence[Failure]) -> Fetched:
        """The answer with the records of these items as ones that it shows and that cannot be read."""
        errors = {failure.ref: str(failure.error) for failure in failures}
        good: list[Record] = []
        bad = list(self.answer.failed)
        for record in self.answer.records:
            item = Ref(KINDS[type(record)], item_of(record))
            if item in errors:
                bad.append(BadRecord(item.kind, key_of(record)[0], errors[item], item.external_id))
            else:
                good.append(record)
        return replace(self, answer=msgspec.structs.replace(self.answer, records=good, failed=bad))

    def _ref(self, claim: Claim) -> Ref:
        return self.refs[claim.key.external_id]


@dataclass
class Committed:
    """What a commit did. ``again`` are items that changed meanwhile: they need one more message."""

    again: list[ItemKey] = field(default_factory=list)
    failed: list[tuple[Claim, str]] = field(default_factory=list)


def fetch(deps: Deps, source: Source, claims: Sequence[Claim]) -> Fetched:
    """Ask for at most a batch of the source; raises what the source raises."""
    began = deps.now()
    refs = refs_of(deps, [claim.key for claim in claims])
    with exchanges.watched():
        return Fetched(claims, refs, source.fetch(list(refs.values())), began)


def commit(deps: Deps, fetched: Sequence[Fetched]) -> Committed:
    """Apply the answers and settle their claims, all in one transaction.

    An answer for which a lease was lost meanwhile is not written at all: whoever took the item over knows better.
    """
    return deps.database.transact(lambda conn: _commit(deps, conn, fetched))


def write_storable(deps: Deps, fetched: Fetched) -> list[Failure]:
    """Write those records of an answer that can be stored, each for itself, and settle nothing; returns the others. Nothing
    is written once a lease was lost."""
    failures: list[Failure] = []

    def write(some: Sequence[Record]) -> None:
        def work(conn: Connection) -> None:
            if len(owed.still_held(conn, fetched.claims)) == len(fetched.claims):
                key, reads = fetched.claims[0].key, [Read(some, fetched.began)]
                catalog.apply_reads(conn, key.connection, reads, now=deps.now())

        deps.database.transact(work)

    isolated(fetched.answer.records, write, lambda record, error: failures.append(unstorable(record, error)))
    return failures


def _commit(deps: Deps, conn: Connection, fetched: Sequence[Fetched]) -> Committed:
    connection, now = fetched[0].claims[0].key.connection, deps.now()
    held = owed.still_held(conn, [claim for one in fetched for claim in one.claims])
    standing = [one for one in fetched if all(claim.key in held for claim in one.claims)]
    fallen = [one for one in fetched if one not in standing]
    owed.release(conn, [claim for one in fallen for claim in one.claims if claim.key in held], now=now)
    reads = [read_of(one.answer, one.began) for one in standing]
    beside = _is_beside_bulk(conn, fetched[0].claims[0].key, reads)
    applied, closed = catalog.apply_reads(conn, connection, reads, now=now, beside_bulk=beside)
    written = set(applied.written)
    outcomes: list[Outcome] = []
    for one, gone in zip(standing, closed, strict=True):
        waiting = _ask_again(deps, conn, one, now, fenced=_fenced(conn, one) if applied.unchanged else [])
        found = one.outcomes(_changed(one.answer, written, gone))
        outcomes += [(claim, waiting.pop(claim.key, outcome)) for claim, outcome in found]
        outcomes += [(claim, waiting[claim.key]) for claim in one.not_yet() if claim.key in waiting]
    settled = [(claim, outcome) for claim, outcome in outcomes if outcome != _WAITS]
    readable = [one.refs[claim.key.external_id].external_id for one in standing for claim, _ in one.outcomes(set())]
    failed_items.resolve(conn, connection, fetched[0].claims[0].key.kind, readable, now)
    return Committed(owed.settle(conn, settled, now), [bad for one in standing for bad in one.failed()])


def _is_beside_bulk(conn: Connection, key: ItemKey, reads: Sequence[Read]) -> bool:
    """Whether parts of these items may come from a read of many that is older: one is under way, or waits to go on. A run
    that reads pages or ids holds no lease on the kind."""
    if not any(scope.field == "parent_id" for read in reads for scope in read.covers):
        return False
    whole = key._replace(external_id=WHOLE)
    under_way = owed.is_leased(conn, whole) or runs.is_active(conn, key.connection)
    return under_way or run_pages.any_kept(conn, key.connection)


_WAITS = ""
"""Instead of an outcome: the claim was given back, to be asked again soon."""


def _ask_again(
    deps: Deps, conn: Connection, fetched: Fetched, now: datetime, *, fenced: Sequence[Claim]
) -> dict[ItemKey, str]:
    """Give back what the source could not show yet, for a while; after that it is settled, and the polls look after it.

    Returns what becomes of those claims: ``_WAITS``, or an outcome where patience is over.
    """
    late = [(claim, wait_for_item(claim.asks, random.random()), "gone") for claim in fetched.not_yet()]  # noqa: S311
    behind = _really_behind(conn, fetched)
    behind += [claim for claim in fenced if claim not in behind]
    late += [(claim, wait_for_version(claim.asks, random.random()), "stale") for claim in behind]  # noqa: S311
    for claim, wait, _ in late:
        if wait is not None:
            owed.ask_again(conn, [claim], next_at=now + timedelta(seconds=wait))
    return {claim.key: given_up if wait is None else _WAITS for claim, wait, given_up in late}


def _really_behind(conn: Connection, fetched: Fetched) -> list[Claim]:
    """Not those of which we hold the newer version already: another read brought it."""
    behind = fetched.behind()
    if not behind:
        return []
    key = behind[0].key
    ids = {claim.key: fetched.refs[claim.key.external_id].external_id for claim in behind}
    held = catalog.versions(conn, key.connection, key.kind, sorted(set(ids.values())))
    return [
        claim for claim in behind if (held[ids[claim.key]].version if ids[claim.key] in held else 0) < claim.version
    ]


def _fenced(conn: Connection, fetched: Fetched) -> list[Claim]:
    """Claims of items that the answer shows, but that another read found gone since this one began: which of the two is
    the truth only a later look tells."""
    kind = fetched.claims[0].key.kind
    living = {key_of(record): item_of(record) for record in fetched.answer.records if not record.deleted}
    if not living:
        return []
    gone = catalog.fenced(conn, fetched.claims[0].key.connection, kind, list(living))
    owners = {name for key in gone for name in (key[0], living[key])}
    return [claim for claim in fetched.claims if fetched.refs[claim.key.external_id].external_id in owners]


def apply_answer(
    conn: Connection, connection: str, answer: Answer, began: datetime, now: datetime
) -> tuple[Applied, list[tuple[Kind, Key]]]:
    """Bring an answer into the catalog; returns what that did, and the rows of its scopes that it closed."""
    pulled = owed.is_leased(conn, ItemKey(connection, Kind.PRODUCT, WHOLE))  # what that reads may be older
    reads = [read_of(answer, began)]
    applied, (closed,) = catalog.apply_reads(conn, connection, reads, now=now, beside_bulk=pulled)
    return applied, closed


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


def read_of(answer: Answer, began: datetime) -> Read:
    """An answer as the catalog takes it."""
    failed = frozenset(bad.external_id or bad.item_id for bad in answer.failed)
    return Read(answer.records, began, answer.covers, answer.gone, failed)


def _changed(answer: Answer, written: set[Key], closed: Sequence[tuple[Kind, Key]]) -> set[str]:
    """The external ids under which something changed."""
    changed = {item_of(record) for record in answer.records if key_of(record) in written}
    changed.update(key[0] for _, key in closed)
    changed.update(scope.value for scope in answer.covers if closed and scope.value)
    return changed
