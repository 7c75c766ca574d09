"""Whose account a connection reads: asked by the clock, kept in the database, and known to whoever takes deliveries.

A vendor's application may send events of several accounts to one address. Without knowing our own we would fetch
another merchant's orders, and be told again and again that there are none.
"""

from __future__ import annotations

import structlog

from app.errors import TallyhookError
from app.flows.connections import health
from app.flows.deps import Deps
from app.rules.calls.calling import PROBE, calling_for
from app.sources.base import Identified
from app.stores.reports import cache
from app.stores.reports.cache import Remembered

QUESTION = "account"

log = structlog.get_logger()


def find_accounts(deps: Deps) -> None:
    """Ask every source that can tell; what cannot be asked now is asked at the next round."""
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
                cache.put(conn, connection, QUESTION, Remembered(account, deps.now(), 0))


def learn_accounts(deps: Deps) -> None:
    """Tell this process's receivers what the clock has found, so that they know foreign deliveries."""
    known = {name: source for name, source in deps.sources.items() if isinstance(source, Identified)}
    if not known:
        return
    with deps.database.read() as conn:
        found = {name: cache.get(conn, name, QUESTION) for name in known}
    for name, answer in found.items():
        if answer is not None:
            known[name].learn(str(answer.answer))
