"""Finds out whether a kind of a connection answers at all: other items of it are asked for, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from app.domain import Kind, Ref
from app.errors import AuthRejected, BadAnswer, DatabaseFault, RateLimited, Unavailable
from app.flows.deps import Deps
from app.sources import exchanges
from app.sources.base import Source
from app.stores import catalog
from app.stores.sql.engine import Database

CONTROLS = 2
"""How many other items are asked for before a kind is said not to answer."""

KNOWN_FOR = timedelta(seconds=5)
"""How long what was found stands for other failures of the same process: many threads fail together."""

Whose = tuple[str, Kind]


class Asking(Exception):
    """Another thread is finding it out just now."""


@dataclass(eq=False)
class _Seen:
    """What this process found out lately, and what it is finding out now."""

    found: dict[Whose, tuple[datetime, bool | None]] = field(default_factory=dict)
    asking: set[Whose] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


_all_seen: WeakKeyDictionary[Database, _Seen] = WeakKeyDictionary()
_lock = threading.Lock()


def is_answered(deps: Deps, connection: str, kind: Kind, failed: Sequence[str]) -> bool | None:
    """Whether the vendor answers for another item of the kind than those that ``failed`` together (empty where a list of
    the kind did); ``None`` where that cannot be found out.

    Calls the vendor up to ``CONTROLS`` times. Raises ``Asking`` while another thread does, and ``DatabaseFault``.
    """
    seen, whose, now = _seen_of(deps.database), (connection, kind), deps.now()
    with seen.lock:
        at, answered = seen.found.get(whose, (None, None))
        if at is not None and now - at < KNOWN_FOR:
            return answered
        if whose in seen.asking:
            raise Asking
        seen.asking.add(whose)
    try:
        answered = _ask(deps, connection, kind, failed)
        seen.found[whose] = (now, answered)
        return answered
    finally:
        seen.asking.discard(whose)


def _ask(deps: Deps, connection: str, kind: Kind, failed: Sequence[str]) -> bool | None:
    others = _others(deps, connection, kind, failed)
    if not others:
        return None if failed else False  # a list of a kind of which we hold nothing is all there is to ask for
    answers = [answer for answer in _answers(deps.sources[connection], kind, others) if answer is not None]
    return any(answers) if answers else None


def _others(deps: Deps, connection: str, kind: Kind, failed: Sequence[str]) -> list[str]:
    """Items that we hold; where these are too few, some that failed only together with others."""
    with deps.database.read() as conn:
        held = catalog.lately_read(conn, connection, kind, CONTROLS, without=failed)
    return [*held, *failed[1:]][:CONTROLS]


def _answers(source: Source, kind: Kind, ids: Sequence[str]) -> Iterator[bool | None]:
    for id in ids:
        answer = _answer(source, Ref(kind, id))
        yield answer
        if answer:
            return


def _answer(source: Source, ref: Ref) -> bool | None:
    """A vendor that has something against this very item has answered; one that limits us said nothing about it."""
    try:
        with exchanges.unwatched():
            source.fetch([ref])
    except (DatabaseFault, MemoryError):
        raise
    except RateLimited:
        return None
    except (Unavailable, BadAnswer, AuthRejected):
        return False
    except Exception:  # whatever its answer makes of our code, there was one
        return True
    return True


def _seen_of(database: Database) -> _Seen:
    with _lock:
        return _all_seen.setdefault(database, _Seen())
