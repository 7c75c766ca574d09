"""One read of a whole kind at a time: a nightly read and a pull of the same kind must not overtake each other.

Where a source has no versions, the moment a read began is the version, and of two overlapping reads the older one could
write last. The lease on the kind's ``*`` item is the lock; pulls hold it anyway.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.domain import ALL_ITEMS, Cause, ItemKey, Kind
from app.errors import Unavailable
from app.flows.deps import Deps
from app.flows.items.leases import LEASE, LeaseKeeper
from app.flows.runs.run_state import Interrupted
from app.stores import owed
from app.stores.owed import Claim

PATIENCE = 900.0
RETRY_AFTER = 0.2
"""How long to wait for the lock in all, and between two attempts; both in seconds."""


@contextmanager
def kind_lock(deps: Deps, keeper: LeaseKeeper, connection: str, kind: Kind) -> Iterator[None]:
    """Lock the kind for the block. The block settles what was owed of the whole kind, or gives it back if it raises.

    Raises ``Unavailable`` when a pull of the kind does not end within ``PATIENCE`` seconds, ``Interrupted`` when this
    process must stop meanwhile.
    """
    claim = _claim(deps, keeper, ItemKey(connection, kind, ALL_ITEMS))
    try:
        with keeper.hold_claims([claim]):
            yield
        again = deps.database.transact(lambda conn: owed.settle(conn, [(claim, "applied")], deps.now()))
    except BaseException:
        keeper.release_claims([claim])
        raise
    deps.queue.enqueue(again)


def _claim(deps: Deps, keeper: LeaseKeeper, key: ItemKey) -> Claim:
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while time.monotonic() < deadline:
        with deps.database.begin() as conn:
            owed.revive(conn, key, Cause.RECONCILE, deps.now())
            claims = owed.claim(conn, key, more=0, lease=LEASE, now=deps.now())
        if claims:
            return claims[0]
        if keeper.stopping:
            raise Interrupted
        pause.wait(RETRY_AFTER)
    raise Unavailable(f"a pull of {key.connection}/{key.kind} has not ended for {PATIENCE:g} s")
