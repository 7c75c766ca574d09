"""Shorthands for tests that ask for bulk work."""

from typing import Any

from app.domain import Options, Strategy
from app.flows.deps import Deps
from app.flows.runs.request_run import request_run


def request_reconcile(deps: Deps, connection: str, **options: Any) -> int:
    """A full run, as a person asks for it."""
    return request_run(deps, connection, Strategy.FULL, Options(**options), cause="person")
