"""Work for many things of which one that fails stops no other."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import structlog

from app.errors import DatabaseFault

T = TypeVar("T")

log = structlog.get_logger()


def isolated(work: Callable[[T], object], things: Iterable[T], *, event: str) -> None:
    """Do ``work`` for each thing; a failure is logged as ``event`` and the next one follows. Raises ``DatabaseFault`` at
    once, because the next one would fare no better."""
    for thing in things:
        try:
            work(thing)
        except DatabaseFault:
            raise
        except Exception as error:
            log.warning(event, of=str(thing), error=f"{type(error).__name__}: {error}")
