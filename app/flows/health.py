"""Whose fault a failed call is: the item's, its kind's, or the whole connection's; and what may be asked at all now.

A fault harms only what it touches. Where a call fails, the source is asked one cheap thing (``Checkable``): if even that
fails the connection refuses us or does not answer, and pauses; if it is answered, a 401 or 403 is the kind's, and
anything else the item's own.
"""

from __future__ import annotations

from enum import StrEnum

from app.domain import Kind
from app.flows.deps import Deps


class Fault(StrEnum):
    """Whom a failure concerns."""

    ITEM = "item"
    KIND = "kind"
    CONNECTION = "connection"


def judge(deps: Deps, connection: str, kind: Kind, error: Exception) -> Fault:
    """Whom an error of a vendor's call concerns. If it is the kind or the connection, that is recorded, told once, and
    ``blocked`` says so from now on: the caller gives its work back without counting an attempt."""
    return Fault.ITEM


def blocked(deps: Deps, connection: str, kind: Kind | None = None) -> str | None:
    """Why nothing of the connection (or of this kind of it) is to be asked now, ``None`` when all is well. Cheap: known
    for about a second."""
    return None


def paused(deps: Deps) -> frozenset[str]:
    """The connections that are not to be asked now; known for about a second."""
    return frozenset()


def forbidden(deps: Deps, connection: str) -> frozenset[Kind]:
    """The kinds of a connection that we may not read now; known for about a second."""
    return frozenset()
