"""Answers that take seconds to find: found at most once in a while, and told with their age."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from app.flows.deps import Deps
from app.stores.reports import cache
from app.stores.reports.cache import Remembered

_searching: dict[tuple[str, str], threading.Lock] = {}


def remembered(
    deps: Deps, connection: str, question: str, find: Callable[[Connection], Any], *, fresh: timedelta
) -> Remembered:
    """The last answer if it is younger than ``fresh``, else what ``find`` says now.

    ``find`` gets a connection for reading and returns a JSON-ready value. Of those in one process who ask the same at
    the same time one searches, and the others take its answer.
    """
    last = _younger(deps, connection, question, fresh)
    if last is not None:
        return last
    with _searching.setdefault((connection, question), threading.Lock()):
        return _younger(deps, connection, question, fresh) or _find(deps, connection, question, find)


def age_of(deps: Deps, found: Remembered) -> dict[str, Any]:
    """``found_at`` (ISO 8601), ``age_seconds`` and ``took_ms`` of an answer, to be told with it."""
    age = (deps.now() - found.found_at).total_seconds()
    return {"found_at": found.found_at.isoformat(), "age_seconds": round(max(age, 0.0), 1), "took_ms": found.took_ms}


def _younger(deps: Deps, connection: str, question: str, fresh: timedelta) -> Remembered | None:
    with deps.database.read() as conn:
        last = cache.get(conn, connection, question)
    return last if last is not None and deps.now() - last.found_at < fresh else None


def _find(deps: Deps, connection: str, question: str, find: Callable[[Connection], Any]) -> Remembered:
    asked_at, began = deps.now(), time.perf_counter()
    with deps.database.read() as conn:
        answer = find(conn)
    found = Remembered(answer, asked_at, round((time.perf_counter() - began) * 1000))
    with deps.database.begin() as conn:
        cache.put(conn, connection, question, found)
    return found
