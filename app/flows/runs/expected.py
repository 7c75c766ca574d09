"""How many records a run will have, guessed from what earlier runs of the same sort had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.domain import Kind
from app.flows.runs.run_state import Course
from app.rules.runs.strategies import How, Leg
from app.stores import catalog
from app.stores.runs import runs


def guesses(course: Course, plan: Sequence[Leg]) -> list[int | None]:
    """Records of each leg: of a whole read what the last one of that kind had (else what is stored of it), of another
    what the last run with the same strategy and options had; ``None`` where nothing is known."""
    with course.deps.database.read() as conn:
        earlier = runs.completed(conn, course.connection)
        known = [_whole(leg, earlier) for leg in plan]
        is_new = any(leg.how is How.FULL and read is None for leg, read in zip(plan, known, strict=True))
        stored = catalog.counts(conn, course.connection) if is_new else {}
    asked = {**msgspec.to_builtins(course.options), "dryRun": False}
    alike = [run for run in earlier if _strategy(run) == course.strategy and _asked(run) == asked]
    return [
        _part(leg, alike) if leg.how is not How.FULL else read if read is not None else _live(leg, stored)
        for leg, read in zip(plan, known, strict=True)
    ]


def _strategy(run: Mapping[str, Any]) -> str:
    return str(run["checkpoint"].get("chosen") or run["strategy"])


def _live(leg: Leg, stored: Mapping[Kind, tuple[int, int]]) -> int | None:
    """The rows that live here, if any: of nothing nothing is known."""
    return stored.get(leg.kind, (0, 0))[0] or None


def _asked(run: Mapping[str, Any]) -> dict[str, Any]:
    return {"dryRun": False, **run["options"]}


def _whole(leg: Leg, earlier: Sequence[Mapping[str, Any]]) -> int | None:
    counts = (run["counts"].get(leg.kind, {}) for run in earlier)
    return next((told["read"] for told in counts if "read" in told and not told.get("held")), None)


def _part(leg: Leg, alike: Sequence[Mapping[str, Any]]) -> int | None:
    counts = (run["counts"].get(leg.kind, {}) for run in alike)
    name = "compared_again" if leg.how is How.SLICE else "processed"
    return next((told[name] for told in counts if name in told), None)
