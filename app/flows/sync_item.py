"""The item path: lease what is owed, fetch the truth, apply it, settle, all decided by the database.

A message only says hurry. Whoever gets it leases the item, and with it as many other due items of the kind as one
call can fetch, so a backlog drains in batches by itself. No transaction is open while the vendor is asked.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from app.domain import KINDS, SKU_PREFIX, WHOLE, Answer, ItemKey, Kind, Listing, Record, Ref, key_of
from app.errors import BadConfiguration, BudgetSpent, KilledWorker, Permanent, RateLimited, Unavailable
from app.flows.deps import Deps
from app.flows.leases import LEASE, LeaseKeeper
from app.flows.pull import pull
from app.rules.retry import MAX_KILLS, wait_before_retry
from app.sources.base import Source
from app.stores import attempts, catalog, owed
from app.stores.owed import Claim

log = structlog.get_logger()


def sync_item(deps: Deps, keeper: LeaseKeeper, key: ItemKey) -> None:
    """Bring one item (and others due with it) up to date; a no-op when it is no longer owed.

    Failures that waiting may cure are recorded and postponed here. One that is final is raised: the caller's
    message is then dead, and ``flows.bury`` turns it into a dead letter.
    """
    source = deps.sources.get(key.connection)
    if source is None:
        raise BadConfiguration(f"item {key} belongs to connection {key.connection!r}, which is not configured")
    if _work_on(deps, keeper, source, key):
        return
    with deps.database.read() as conn:
        suspect = owed.is_suspect(conn, key, deps.now())
    if suspect:
        _work_apart(deps, keeper, source, key)


def _work_apart(deps: Deps, keeper: LeaseKeeper, source: Source, key: ItemKey) -> None:
    """One suspect at a time in a process: they would all be lost with the one that kills it. The others are sent
    again by the sweep."""
    with keeper.apart() as alone:
        if alone:
            _work_on(deps, keeper, source, key, suspects=True)


def _work_on(deps: Deps, keeper: LeaseKeeper, source: Source, key: ItemKey, *, suspects: bool = False) -> bool:
    """Lease and work; ``False`` when there was nothing to lease."""
    more = source.batch_size(key.kind) - 1
    with deps.database.begin() as conn:
        claims = owed.claim(conn, key, more=more, lease=LEASE, now=deps.now(), suspects=suspects)
    if claims:
        with keeper.hold(lambda conn, until: owed.extend(conn, claims, until=until)):
            _work(deps, source, claims)
    return bool(claims)


def _work(deps: Deps, source: Source, claims: Sequence[Claim]) -> None:
    first = claims[0]
    try:
        if first.kills >= MAX_KILLS:
            raise KilledWorker(f"processing this item took its worker down {first.kills} times")
        if first.key.external_id == WHOLE:
            _wake(deps, pull(deps, first))
        else:
            _sync(deps, source, claims)
    except (RateLimited, Unavailable) as error:  # this tells nothing about the neighbours
        _give_back(deps, claims[1:], error)
        _failed(deps, claims[:1], error)
    except Exception as error:
        if len(claims) > 1 and isinstance(error, Permanent):
            _one_by_one(deps, source, claims)
        else:
            _failed(deps, claims, error)


def _sync(deps: Deps, source: Source, claims: Sequence[Claim]) -> None:
    began = deps.now()
    refs = _refs(deps, claims)
    answer = source.fetch(list(refs.values()))
    not_yet = [claim for claim in claims if refs[claim.key.external_id] in set(answer.not_yet)]
    with deps.database.begin() as conn:
        changed = _apply(conn, claims[0].key.connection, answer, began, deps.now())
        readable = [claim for claim in claims if claim not in not_yet]
        again = owed.settle(conn, _outcomes(readable, refs, answer, changed), deps.now())
    _wake(deps, again)
    if not_yet:
        _failed(deps, not_yet, Unavailable("the vendor announced it but cannot show it yet"))


def _refs(deps: Deps, claims: Sequence[Claim]) -> dict[str, Ref]:
    """What to ask the source for: public SKUs are turned into record ids where we know them."""
    refs = {claim.key.external_id: Ref(claim.key.kind, claim.key.external_id) for claim in claims}
    skus = [asked for asked in refs if asked.startswith(SKU_PREFIX)]
    if skus:
        with deps.database.read() as conn:
            for asked in skus:
                known = catalog.resolve_sku(conn, claims[0].key.connection, asked.removeprefix(SKU_PREFIX))
                if known is not None:
                    refs[asked] = Ref(refs[asked].kind, known)
    return refs


def _apply(conn: Connection, connection: str, answer: Answer, began: datetime, now: datetime) -> set[str]:
    """Write an answer through the last step; returns the external ids under which something changed."""
    applied = catalog.apply(conn, connection, answer.records, read_at=began, now=now)
    shown = _shown(answer.records)
    closed = catalog.close_scopes(conn, connection, answer.covers, shown, read_at=began, now=now)
    catalog.tombstone(conn, connection, answer.gone, read_at=began, now=now)
    written = set(applied.written)
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


def _outcomes(
    claims: Sequence[Claim], refs: Mapping[str, Ref], answer: Answer, changed: set[str]
) -> list[tuple[Claim, str]]:
    gone = set(answer.gone)
    outcomes = []
    for claim in claims:
        ref = refs[claim.key.external_id]
        applied = "applied" if ref.external_id in changed else "unchanged"
        outcomes.append((claim, "gone" if ref in gone else applied))
    return outcomes


def _one_by_one(deps: Deps, source: Source, claims: Sequence[Claim]) -> None:
    """A batch was refused as a whole: one bad item must not take its neighbours with it."""
    for claim in (*claims[1:], claims[0]):  # the message's own item last: only it may raise
        try:
            _sync(deps, source, [claim])
        except Exception as error:
            _failed(deps, [claim], error, own=claim is claims[0])


def _failed(deps: Deps, claims: Sequence[Claim], error: Exception, *, own: bool = True) -> None:
    """Postpone what waiting may cure. The rest is raised if it is this message's own item (the first claim);
    a neighbour's failure waits for a message of its own, which then raises it."""
    if isinstance(error, BudgetSpent):
        _give_back(deps, claims, error)
        return
    for claim in claims:
        wait = wait_before_retry(error, claim.attempts + 1, random.random())  # noqa: S311
        if wait is not None:
            _postpone(deps, claim, error, wait)
        elif own and claim is claims[0]:
            raise error
        else:
            _postpone(deps, claim, error, 0.0)
            _wake(deps, [claim.key])


def _give_back(deps: Deps, claims: Sequence[Claim], error: Exception) -> None:
    """Postpone without counting a failure: what failed is fetched alone from then on, and a storm of items that were
    only unlucky would become a storm of calls."""
    if not claims:
        return
    wait = wait_before_retry(error, 1, random.random()) or 0.0  # noqa: S311
    next_at = deps.now() + timedelta(seconds=wait)
    with deps.database.begin() as conn:
        for claim in sorted(claims, key=lambda held: held.key):
            owed.postpone(conn, claim, next_at=next_at)
    log.info("given_back", item="/".join(claims[0].key), items=len(claims), wait=round(wait, 1), error=str(error))


def _postpone(deps: Deps, claim: Claim, error: Exception, wait: float) -> None:
    now = deps.now()
    with deps.database.begin() as conn:
        owed.fail(conn, claim, next_at=now + timedelta(seconds=wait), now=now)
        attempts.record(
            conn,
            attempts.message_key(claim.key),
            number=claim.attempts + 1,
            at=now,
            worker=deps.worker,
            error=error,
        )
    log.warning(
        "postponed", item="/".join(claim.key), attempt=claim.attempts + 1, wait=round(wait, 1), error=str(error)
    )


def _wake(deps: Deps, keys: Sequence[ItemKey]) -> None:
    if keys:
        deps.queue.wake(keys)
