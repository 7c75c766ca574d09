"""Processes the items of one message in batches that share commits; a failing item does not fail its neighbours."""

import random
import time
from collections.abc import Sequence
from datetime import timedelta

import structlog

from app.domain import ALL_ITEMS, ItemKey
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
from app.flows.connections.limited import limited_for
from app.flows.deps import Deps
from app.flows.items.bad_records import Failure, record_failures
from app.flows.items.dead_letter import with_claim
from app.flows.items.doubted_items import hold_back
from app.flows.items.fetched import Fetched
from app.flows.items.fetching import commit, fetch, write_storable
from app.flows.items.leases import LeaseKeeper
from app.flows.items.pull import pull
from app.rules.calls.lanes import Lane, lane, lane_of
from app.rules.letters.retry import MAX_KILLS, wait_before_retry, wait_while_limited
from app.sources import exchanges
from app.sources.base import Source
from app.stores import owed
from app.stores.letters import attempts
from app.stores.owed import Claim

COMMIT_DELAY = 0.2
"""Seconds that an answer may wait for the next ones of its message, so that they share a commit."""

log = structlog.get_logger()


class ItemWork:
    """The work of one message. ``named`` is the item that the message names: only its failure is raised."""

    def __init__(self, deps: Deps, keeper: LeaseKeeper, source: Source, named: ItemKey) -> None:
        self._deps = deps
        self._keeper = keeper
        self._source = source
        self._named = named
        self._final: Exception | None = None

    def do(self, claims: Sequence[Claim]) -> None:
        """Process leased items of one kind. Raises the final error of the item that the message names, after all else is
        done, and ``DatabaseFault`` at once."""
        if len(claims) == 1 and claims[0].crashes >= MAX_KILLS:
            raise with_claim(
                KilledWorker(f"processing this item took its worker down {claims[0].crashes} times"), claims[0]
            )
        with lane(min(map(_lane, claims))):
            if claims[0].key.external_id == ALL_ITEMS:
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
            if not self._is_shared([claim], error, []):
                self._fail([claim], error)

    def _sync(self, waiting: list[Claim]) -> None:
        """Fetch in the order of keys, so that a commit of several answers locks its rows in the order of a pull."""
        size = self._source.batch_size(self._named.kind)
        fetched: list[Fetched] = []
        since = time.monotonic()
        while waiting:
            some, waiting = waiting[:size], waiting[size:]
            try:
                fetched.append(fetch(self._deps, self._source, some))
            except DatabaseFault:
                raise
            except Exception as error:
                waiting, size = self._not_fetched(some, waiting, error)
            if fetched and (not waiting or time.monotonic() - since >= COMMIT_DELAY):
                self._commit(fetched)
                fetched, since = [], time.monotonic()
            if self._keeper.stopping:
                self._release(waiting)
                waiting = []
        if fetched:
            self._commit(fetched)

    def _not_fetched(self, some: list[Claim], waiting: list[Claim], error: Exception) -> tuple[list[Claim], int]:
        """Handle a failed fetch of ``some``; returns what is left to fetch, and in batches of which size."""
        size = self._source.batch_size(self._named.kind)
        if self._is_shared([*some, *waiting], error, some):
            return [], size
        if isinstance(error, Unavailable | BadAnswer) and len(some) > 1:
            return [*some, *waiting], (len(some) + 1) // 2  # find the one that is not answered
        if isinstance(error, RateLimited | Unavailable | BadAnswer):
            # the others are not to blame, but would fail as well
            self._postpone_blameless([*some[1:], *waiting], error)
            self._fail(some[:1], error)
            return [], size
        self._one_by_one(some, error)
        return waiting, size

    def _is_shared(self, claims: Sequence[Claim], error: Exception, fetched: Sequence[Claim]) -> bool:
        """Whether a failure of what was ``fetched`` together (nothing, for a list) concerns the whole kind or connection.
        Then all claims are released, and their items are fetched again when the connection is well."""
        key, failed = claims[0].key, [claim.key.external_id for claim in fetched]
        if health.judge(self._deps, key.connection, key.kind, error, failed) is Fault.ITEM:
            return False
        self._release(claims)
        return True

    def _one_by_one(self, claims: Sequence[Claim], error: Exception) -> None:
        """Fetch the items of a refused batch one by one, so that a bad item does not fail its neighbours. If the source
        refused a list, none would fare better alone."""
        is_list = self._named.kind in self._source.listed_kinds
        if len(claims) == 1 or is_list or not isinstance(error, Permanent):
            self._fail(claims, error)
            return
        for place, claim in enumerate(claims):
            if not self._fetch_alone(claim, claims[place:]):
                return

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
        health.answered(self._deps, self._named.connection, self._named.kind, min(one.began for one in fetched))
        for claim, error_text in done.failed:
            self._fail([claim], Unmappable(error_text))

    def _not_committed(self, fetched: Sequence[Fetched], error: Exception) -> None:
        """Commit the answers one by one: one that cannot be written must not fail the others."""
        if len(fetched) > 1:
            for one in fetched:
                self._commit([one])
        elif len(fetched[0].claims) > 1:
            for claim in fetched[0].claims:
                self._fetch_alone(claim, [claim])
        else:
            self._not_stored(fetched[0], write_storable(self._deps, fetched[0]), error)

    def _not_stored(self, fetched: Fetched, failures: Sequence[Failure], error: Exception) -> None:
        """Fail the item; its storable records are written. If only its neighbours in a list cannot be stored, record
        their failures and commit the item."""
        claim = fetched.claims[0]
        id = fetched.refs[claim.key.external_id].external_id
        errors = [failure.error for failure in failures if failure.ref.external_id == id]
        if errors or not failures:
            self._fail([claim], errors[0] if errors else error)
            return
        with self._deps.database.begin() as conn:
            record_failures(self._deps, conn, claim.key.connection, failures)
        self._commit([fetched.without(failures)])

    def _fetch_alone(self, claim: Claim, waiting: Sequence[Claim]) -> bool:
        """Fetch one item. ``False`` if its failure is shared: then all that are ``waiting`` with it are released."""
        try:
            self._commit([fetch(self._deps, self._source, [claim])])
        except DatabaseFault:
            raise
        except Exception as error:
            if self._is_shared(waiting, error, [claim]):
                return False
            self._fail([claim], error)
        return True

    def _fail(self, claims: Sequence[Claim], error: Exception) -> None:
        """Postpone what waiting may cure. Any other failure is final for the item that the message names; another item
        gets a message of its own, which then raises it. A limit on calls is the connection's, and no item's failure."""
        if isinstance(error, RateLimited):
            self._postpone_blameless(claims, error)
            return
        for claim in claims:
            wait = wait_before_retry(error, claim.attempts + 1, random.random())  # noqa: S311
            if wait is not None:
                self._postpone(claim, error, wait)
            elif claim.key == self._named:
                self._final = with_claim(error, claim)
            else:
                self._postpone(claim, error, 0.0)
                self._enqueue([claim.key])

    def _postpone_blameless(self, claims: Sequence[Claim], error: Exception) -> None:
        """Postpone without counting a failure: an item that failed is fetched alone from then on, and a storm of merely
        unlucky items would become a storm of calls."""
        if not claims:
            return
        wait = self._wait_of_the_blameless(error)
        next_at = self._deps.now() + timedelta(seconds=wait)
        with self._deps.database.begin() as conn:
            owed.postpone(conn, claims, next_at=next_at)
        log.info("given_back", item="/".join(claims[0].key), items=len(claims), wait=round(wait, 1), error=str(error))

    def _wait_of_the_blameless(self, error: Exception) -> float:
        """Seconds. Our own budget says itself when it has a call again; a vendor that limits us is left alone for longer and
        longer."""
        jitter = random.random()  # noqa: S311
        if not isinstance(error, RateLimited):
            return wait_before_retry(error, 1, jitter) or 0.0
        limited = 0.0 if isinstance(error, BudgetSpent) else limited_for(self._deps, *self._named[:2])
        return wait_while_limited(error, limited, jitter)

    def _postpone(self, claim: Claim, error: Exception, wait: float) -> None:
        now = self._deps.now()
        with self._deps.database.begin() as conn:
            if not owed.fail(conn, claim, next_at=now + timedelta(seconds=wait)):
                return  # another worker has it now, and may succeed
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
                owed.release(conn, claims)

    def _enqueue(self, keys: Sequence[ItemKey]) -> None:
        if keys:
            self._deps.queue.enqueue(keys)


def _lane(claim: Claim) -> Lane:
    """The lane of a claim's cause; an item that changed again since was most likely named by a webhook."""
    first = lane_of(claim.cause)
    return min(first, Lane.WEBHOOK) if claim.rev > 1 and claim.key.external_id != ALL_ITEMS else first
