"""Works off the items of one message: batch by batch, sharing commits, each failure told from its neighbours'."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from datetime import timedelta

import structlog

from app.domain import WHOLE, ItemKey
from app.errors import (
    BadAnswer,
    BudgetSpent,
    DatabaseFault,
    KilledWorker,
    Permanent,
    RateLimited,
    Unavailable,
    Unmappable,
)
from app.flows.connections import health
from app.flows.connections.health import Fault
from app.flows.deps import Deps
from app.flows.items.bad_records import Failure, record_failures
from app.flows.items.dead_letter import with_claim
from app.flows.items.doubted_items import hold_back
from app.flows.items.fetching import Fetched, commit, fetch, write_storable
from app.flows.items.leases import LeaseKeeper
from app.flows.items.pull import pull
from app.rules.calls.lanes import Lane, lane, lane_of
from app.rules.letters.retry import MAX_KILLS, wait_before_retry
from app.sources import exchanges
from app.sources.base import Source
from app.stores import owed
from app.stores.letters import attempts
from app.stores.owed import Claim

COMMIT_DELAY = 0.2
"""Seconds that an answer may wait for the next ones of its message, to share a commit with them."""

log = structlog.get_logger()


class ItemWork:
    """One message's work. ``own`` is the item that its message is named after: only that one's failure is raised."""

    def __init__(self, deps: Deps, keeper: LeaseKeeper, source: Source, own: ItemKey) -> None:
        self._deps = deps
        self._keeper = keeper
        self._source = source
        self._own = own
        self._final: Exception | None = None

    def do(self, claims: Sequence[Claim]) -> None:
        """Work on leased items of one kind; raises what killed the message's own item, after all else is done, and
        ``DatabaseFault`` at once."""
        if len(claims) == 1 and claims[0].crashes >= MAX_KILLS:
            raise with_claim(
                KilledWorker(f"processing this item took its worker down {claims[0].crashes} times"), claims[0]
            )
        with lane(min(map(_lane, claims))):
            if claims[0].key.external_id == WHOLE:
                self._pull(claims[0])
            else:
                self._sync(sorted(claims, key=lambda claim: claim.key))
        if self._final is not None:
            raise self._final

    def _pull(self, claim: Claim) -> None:
        try:
            with exchanges.watched():
                self._enqueue(pull(self._deps, claim))
        except DatabaseFault:
            raise
        except Exception as error:
            if not self._is_not_theirs([claim], error, []):
                self._failed([claim], error)

    def _sync(self, waiting: list[Claim]) -> None:
        """In the order of their keys, so that commits of several answers lock their rows in the order of a pull."""
        size = self._source.batch_size(self._own.kind)
        fetched: list[Fetched] = []
        since = time.monotonic()
        while waiting:
            some, waiting = waiting[:size], waiting[size:]
            try:
                fetched.append(fetch(self._deps, self._source, some))
            except DatabaseFault:
                raise
            except Exception as error:
                size = self._source.batch_size(self._own.kind)
                if self._is_not_theirs([*some, *waiting], error, some):
                    waiting = []
                elif isinstance(error, Unavailable | BadAnswer) and len(some) > 1:
                    waiting, size = [*some, *waiting], (len(some) + 1) // 2  # one of them is not answered: which?
                elif isinstance(error, RateLimited | Unavailable | BadAnswer):
                    # this tells nothing about the others, but they fare no better
                    self._give_back([*some[1:], *waiting], error)
                    self._failed(some[:1], error)
                    waiting = []
                else:
                    self._one_by_one(some, error)
            if fetched and (not waiting or time.monotonic() - since >= COMMIT_DELAY):
                self._commit(fetched)
                fetched, since = [], time.monotonic()
            if self._keeper.stopping:
                self._release(waiting)
                waiting = []
        if fetched:
            self._commit(fetched)

    def _is_not_theirs(self, claims: Sequence[Claim], error: Exception, asked: Sequence[Claim]) -> bool:
        """Whether the failure of what was ``asked`` together (nothing: of a list) is that of their kind or their
        connection: then they stay owed as they were, and are asked for again when that is well."""
        key, failed = claims[0].key, [claim.key.external_id for claim in asked]
        if health.judge(self._deps, key.connection, key.kind, error, failed) is Fault.ITEM:
            return False
        self._release(claims)
        return True

    def _one_by_one(self, claims: Sequence[Claim], error: Exception) -> None:
        """A batch was refused as a whole: one bad item must not take its neighbours with it, unless it was a list that was
        refused: then none fares better alone."""
        is_list = self._own.kind in self._source.listed_kinds
        if len(claims) == 1 or is_list or not isinstance(error, Permanent):
            self._failed(claims, error)
            return
        for place, claim in enumerate(claims):
            try:
                self._commit([fetch(self._deps, self._source, [claim])])
            except DatabaseFault:
                raise
            except Exception as failure:
                if self._is_not_theirs(claims[place:], failure, [claim]):
                    return
                self._failed([claim], failure)

    def _commit(self, fetched: Sequence[Fetched]) -> None:
        try:
            fetched = hold_back(self._deps, fetched)
            done = commit(self._deps, fetched)
        except DatabaseFault:
            raise
        except Exception as error:
            self._not_committed(fetched, error)
            return
        self._enqueue(done.again)
        health.answered(self._deps, self._own.connection, self._own.kind, min(one.began for one in fetched))
        for claim, error_text in done.failed:
            self._failed([claim], Unmappable(error_text))

    def _not_committed(self, fetched: Sequence[Fetched], error: Exception) -> None:
        """One answer that cannot be written must not take the others with it."""
        if len(fetched) > 1:
            for one in fetched:
                self._commit([one])
        elif len(fetched[0].claims) > 1:
            for claim in fetched[0].claims:
                self._alone(claim)
        else:
            self._not_stored(fetched[0], write_storable(self._deps, fetched[0]), error)

    def _not_stored(self, fetched: Fetched, failures: Sequence[Failure], error: Exception) -> None:
        """The item fails, though what can be stored of it is. Where only its neighbours in a list cannot be stored, these
        are noted, and it is as well as ever."""
        claim = fetched.claims[0]
        id = fetched.refs[claim.key.external_id].external_id
        own = [failure.error for failure in failures if failure.ref.external_id == id]
        if own or not failures:
            self._failed([claim], own[0] if own else error)
            return
        with self._deps.database.begin() as conn:
            record_failures(self._deps, conn, claim.key.connection, failures)
        self._commit([fetched.without(failures)])

    def _alone(self, claim: Claim) -> None:
        try:
            self._commit([fetch(self._deps, self._source, [claim])])
        except DatabaseFault:
            raise
        except Exception as error:
            if not self._is_not_theirs([claim], error, [claim]):
                self._failed([claim], error)

    def _failed(self, claims: Sequence[Claim], error: Exception) -> None:
        """Postpone what waiting may cure. The rest is final if it is this message's own item;
        another's failure waits for a message of its own, which then raises it."""
        if isinstance(error, BudgetSpent):
            self._give_back(claims, error)
            return
        for claim in claims:
            wait = wait_before_retry(error, claim.attempts + 1, random.random())  # noqa: S311
            if wait is not None:
                self._postpone(claim, error, wait)
            elif claim.key == self._own:
                self._final = with_claim(error, claim)
            else:
                self._postpone(claim, error, 0.0)
                self._enqueue([claim.key])

    def _give_back(self, claims: Sequence[Claim], error: Exception) -> None:
        """Postpone without counting a failure: what failed is fetched alone from then on, and a storm of items that
        were only unlucky would become a storm of calls."""
        if not claims:
            return
        wait = wait_before_retry(error, 1, random.random()) or 0.0  # noqa: S311
        next_at = self._deps.now() + timedelta(seconds=wait)
        with self._deps.database.begin() as conn:
            owed.postpone_all(conn, claims, next_at=next_at)
        log.info("given_back", item="/".join(claims[0].key), items=len(claims), wait=round(wait, 1), error=str(error))

    def _postpone(self, claim: Claim, error: Exception, wait: float) -> None:
        now = self._deps.now()
        with self._deps.database.begin() as conn:
            if not owed.fail(conn, claim, next_at=now + timedelta(seconds=wait), now=now):
                return  # somebody else has it: what failed here is not known to be so for him
            attempts.record(
                conn,
                owed.message_key(claim.key),
                number=claim.attempts + 1,
                at=now,
                worker=self._deps.worker,
                error=error,
                redact=self._deps.redact,
            )
        log.warning(
            "postponed", item="/".join(claim.key), attempt=claim.attempts + 1, wait=round(wait, 1), error=str(error)
        )

    def _release(self, claims: Sequence[Claim]) -> None:
        if claims:
            with self._deps.database.begin() as conn:
                owed.release(conn, claims, now=self._deps.now())

    def _enqueue(self, keys: Sequence[ItemKey]) -> None:
        if keys:
            self._deps.queue.enqueue(keys)


def _lane(claim: Claim) -> Lane:
    """An item that changed again since it was owed was told of by a webhook, as far as we know."""
    first = lane_of(claim.cause)
    return min(first, Lane.WEBHOOK) if claim.rev > 1 and claim.key.external_id != WHOLE else first
