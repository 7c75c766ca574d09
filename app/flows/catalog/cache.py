"""Caches answers that take seconds to find, and gives them with their age."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from app.flows.deps import Deps
from app.stores.reports import cache
from app.stores.reports.cache import CachedAnswer

T = TypeVar("T")

_searching: dict[tuple[str, str], threading.Lock] = {}


def cached(
    deps: Deps,
    connection: str,
    question: str,
    find: Callable[[Connection], T],
    shape: type[T],
    *,
    fresh: timedelta,
) -> CachedAnswer[T]:
    """The last answer if it is younger than ``fresh``, else what ``find`` returns now.

    ``find`` gets a connection for reading and returns a value of the type ``shape``, which is kept as JSON. If several
    threads of a process ask the same question at the same time, one of them finds the answer for all.
    """
    last = _younger(deps, connection, question, shape, fresh)
    if last is not None:
        return last
    with _searching.setdefault((connection, question), threading.Lock()):
        return _younger(deps, connection, question, shape, fresh) or _find(deps, connection, question, find)


class Age(msgspec.Struct, frozen=True):
    """When an answer was found (ISO 8601), how old it is, and how many milliseconds it took."""

    found_at: str
    age_seconds: float
    took_ms: int


def age_of(deps: Deps, answer: CachedAnswer[T]) -> Age:
    """The age of an answer."""
    age = (deps.now() - answer.found_at).total_seconds()
    return Age(answer.found_at.isoformat(), round(max(age, 0.0), 1), answer.took_ms)


def _younger(deps: Deps, connection: str, question: str, shape: type[T], fresh: timedelta) -> CachedAnswer[T] | None:
    with deps.database.read() as conn:
        last = cache.get(conn, connection, question, shape)
    return last if last is not None and deps.now() - last.found_at < fresh else None


def _find(deps: Deps, connection: str, question: str, find: Callable[[Connection], T]) -> CachedAnswer[T]:
    found_at, began = deps.now(), time.perf_counter()
    with deps.database.read() as conn:
        answer = find(conn)
    result = CachedAnswer(answer, found_at, round((time.perf_counter() - began) * 1000))
    with deps.database.begin() as conn:
        cache.put(conn, connection, question, result)
    return result
