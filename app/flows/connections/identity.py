"""Which account a connection reads: the clock asks the vendor, the database keeps the answer, receivers compare with it.

A vendor's application may send events of several accounts to one address. Without knowing our own account we would try
to fetch another merchant's orders again and again.
"""

from functools import partial

from app.flows.connections import health
from app.flows.deps import Deps
from app.flows.isolated import isolated
from app.rules.calls.calling import PROBE, calling_for
from app.sources.base import Identified
from app.stores.reports import cache
from app.stores.reports.cache import CachedAnswer

QUESTION = "account"


def find_accounts(deps: Deps) -> None:
    """Ask every source that knows its account; those that cannot be called now are asked in the next round."""
    isolated(partial(_find_account, deps), deps.sources, event="account_unknown")


def _find_account(deps: Deps, connection: str) -> None:
    source = deps.sources[connection]
    if not isinstance(source, Identified) or connection in health.paused(deps):
        return
    with calling_for(PROBE):
        account = source.account()
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
