"""Caches answers that take seconds to find, and gives them with their age."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from app.flows.deps import Deps
from app.stores.reports import cache
from app.stores.reports.cache import CachedAnswer

_searching: dict[tuple[str, str], threading.Lock] = {}


def cached(
    deps: Deps, connection: str, question: str, find: Callable[[Connection], Any], *, fresh: timedelta
) -> CachedAnswer:
    """The last answer if it is younger than ``fresh``, else what ``find`` returns now.

    ``find`` gets a connection for reading and returns a JSON-ready value. If several threads of a process ask the same
    question at the same time, one of them finds the answer for all.
    """
    last = _younger(deps, connection, question, fresh)
    if last is not None:
        return last
    with _searching.setdefault((connection, question), threading.Lock()):
        return _younger(deps, connection, question, fresh) or _find(deps, connection, question, find)


def age_of(deps: Deps, answer: CachedAnswer) -> dict[str, Any]:
    """``found_at`` (ISO 8601), ``age_seconds`` and ``took_ms`` of an answer, for JSON."""
    age = (deps.now() - answer.found_at).total_seconds()
    return {
        "found_at": answer.found_at.isoformat(),
        "age_seconds": round(max(age, 0.0), 1),
        "took_ms": answer.took_ms,
    }


def _younger(deps: Deps, connection: str, question: str, fresh: timedelta) -> CachedAnswer | None:
    with deps.database.read() as conn:
        last = cache.get(conn, connection, question)
    return last if last is not None and deps.now() - last.found_at < fresh else None


def _find(deps: Deps, connection: str, question: str, find: Callable[[Connection], Any]) -> CachedAnswer:
    found_at, began = deps.now(), time.perf_counter()
    with deps.database.read() as conn:
        answer = find(conn)
    result = CachedAnswer(answer, found_at, round((time.perf_counter() - began) * 1000))
    with deps.database.begin() as conn:
        cache.put(conn, connection, question, result)
    return result
