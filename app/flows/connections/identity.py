"""Which account a connection reads: the clock asks the vendor, the database keeps the answer, receivers compare with it.

A vendor's application may send events of several accounts to one address. Without knowing our own account we would try
to fetch another merchant's orders again and again.
"""

import structlog

from app.errors import TallyhookError
from app.flows.connections import health
from app.flows.deps import Deps
from app.rules.calls.calling import PROBE, calling_for
from app.sources.base import Identified
from app.stores.reports import cache
from app.stores.reports.cache import CachedAnswer

QUESTION = "account"

log = structlog.get_logger()


def find_accounts(deps: Deps) -> None:
    """Ask every source that knows its account; those that cannot be called now are asked in the next round."""
    for connection, source in deps.sources.items():
        if not isinstance(source, Identified) or connection in health.paused(deps):
            continue
        try:
            with calling_for(PROBE):
                account = source.account()
        except TallyhookError as error:
            log.info("account_unknown", connection=connection, error=str(error))
            continue
        if account:
            with deps.database.begin() as conn:
                cache.put(conn, connection, QUESTION, CachedAnswer(account, deps.now(), 0))


def learn_accounts(deps: Deps) -> None:
    """Tell this process's receivers their accounts, so that they recognise foreign deliveries."""
    sources = {name: source for name, source in deps.sources.items() if isinstance(source, Identified)}
    if not sources:
        return
    with deps.database.read() as conn:
        accounts = {name: cache.get(conn, name, QUESTION, str) for name in sources}
    for name, account in accounts.items():
        if account is not None:
            sources[name].learn(account.answer)
