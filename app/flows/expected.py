"""How many records a run will have, guessed from what earlier runs of the same sort had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.flows.course import Course
from app.rules.strategies import How, Leg
from app.stores import catalog, runs


def guesses(course: Course, plan: Sequence[Leg]) -> list[int | None]:
    """Records of each leg: of a whole read what the last one of that kind had (else what is stored of it), of another
    what the last run with the same strategy and options had; ``None`` where nothing is known."""
    with course.deps.database.read() as conn:
        earlier = runs.completed(conn, course.connection)
        stored = catalog.counts(conn, course.connection)
    asked = {**msgspec.to_builtins(course.options), "dryRun": False}
    alike = [run for run in earlier if run["strategy"] == course.run["strategy"] and _asked(run) == asked]
    return [
        _whole(leg, earlier) or stored.get(leg.kind, (0, 0))[0] or None if leg.how is How.FULL else _part(leg, alike)
        for leg in plan
    ]


def _asked(run: Mapping[str, Any]) -> dict[str, Any]:
    return {"dryRun": False, **run["options"]}


def _whole(leg: Leg, earlier: Sequence[Mapping[str, Any]]) -> int | None:
    return next((read for run in earlier if (read := run["counts"].get(leg.kind, {}).get("read"))), None)


def _part(leg: Leg, alike: Sequence[Mapping[str, Any]]) -> int | None:
    counts = (run["counts"].get(leg.kind, {}) for run in alike)
    return next((told["processed"] for told in counts if "processed" in told), None)
