"""Finds out whether the vendor answers for a kind at all, by fetching other items of it, one at a time."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from app.domain import Kind, Ref
from app.errors import AuthRejected, BadAnswer, DatabaseFault, RateLimited, Unavailable
from app.flows.connections.per_database import PerDatabase, Shared
from app.flows.deps import Deps
from app.sources import exchanges
from app.sources.base import Source
from app.stores import catalog

CONTROLS = 2
"""How many other items are fetched before we conclude that the vendor does not answer for the kind."""

KNOWN_FOR = timedelta(seconds=5)
"""How long a result counts for other failures in the same process."""


class _Result(NamedTuple):
    at: datetime
    answered: bool | None


_results: PerDatabase[Shared[tuple[str, Kind], _Result]] = PerDatabase(Shared)


def is_answered(deps: Deps, connection: str, kind: Kind, failed: Sequence[str]) -> bool | None:
    """Whether the vendor answers for items of the kind other than those that ``failed`` together (empty if a list of the
    kind failed); ``None`` if that cannot be found out.

    Calls the vendor up to ``CONTROLS`` times. Raises ``InProgress`` while another thread does, and ``DatabaseFault``.
    """
    now = deps.now()

    def find() -> _Result:
        return _Result(now, _answers_for_others(deps, connection, kind, failed))

    results = _results.of(deps.database)
    return results.find((connection, kind), lambda known: now - known.at < KNOWN_FOR, find).answered


def _answers_for_others(deps: Deps, connection: str, kind: Kind, failed: Sequence[str]) -> bool | None:
    others = _others(deps, connection, kind, failed)
    if not others:
        return None if failed else False  # a list of a kind of which we hold nothing is all there is to ask for
    answers = [answer for answer in _answers(deps.sources[connection], kind, others) if answer is not None]
    return any(answers) if answers else None


def _others(deps: Deps, connection: str, kind: Kind, failed: Sequence[str]) -> list[str]:
    """Items that we hold; if these are too few, also some that failed only together with others."""
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
    """Whether the vendor answers for an item, even if it answers with an error about this item; ``None`` if it limits us."""
    try:
        with exchanges.unwatched():
            source.fetch([ref])
    except (DatabaseFault, MemoryError):
        raise
    except RateLimited:
        return None
    except (Unavailable, BadAnswer, AuthRejected):
        return False
    except Exception:  # the vendor answered, even if our code could not handle the answer
        return True
    return True
