"""A sign of life of this process, for readiness and for people."""

from __future__ import annotations

from app.flows.deps import Deps, utc_now
from app.stores import beats

STARTED_AT = utc_now()


def beat(deps: Deps, role: str) -> None:
    """Say that this process is alive."""
    with deps.database.begin() as conn:
        beats.beat(conn, deps.worker, role, STARTED_AT, deps.now())
