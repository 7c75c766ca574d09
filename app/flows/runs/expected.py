"""How many records a run will have, guessed from what earlier runs of the same sort had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from app.domain import Kind, Options
from app.flows.runs.run_state import Course
from app.rules.runs.strategies import How, Leg
from app.stores import catalog
from app.stores.runs import runs
from app.stores.runs.run_row import Run


def guesses(course: Course, plan: Sequence[Leg]) -> list[int | None]:
    """Records of each leg: of a whole read what the last one of that kind had (else what is stored of it), of another
    what the last run with the same strategy and options had; ``None`` where nothing is known."""
    with course.deps.database.read() as conn:
        earlier = runs.completed(conn, course.connection)
        known = [_whole(leg, earlier) for leg in plan]
        is_new = any(leg.how is How.FULL and read is None for leg, read in zip(plan, known, strict=True))
        stored = catalog.counts(conn, course.connection) if is_new else {}
    options = _of_real_run(course.options)
    alike = [
        run for run in earlier if run.chosen_strategy is course.strategy and _of_real_run(run.options) == options
    ]
    return [
        _part(leg, alike) if leg.how is not How.FULL else read if read is not None else _live(leg, stored)
        for leg, read in zip(plan, known, strict=True)
    ]


def _of_real_run(options: Options) -> Options:
    return replace(options, dry_run=False)


def _live(leg: Leg, stored: Mapping[Kind, tuple[int, int]]) -> int | None:
    """The rows that live here, if any: of nothing nothing is known."""
    return stored.get(leg.kind, (0, 0))[0] or None


def _whole(leg: Leg, earlier: Sequence[Run]) -> int | None:
    counts = (run.counts[leg.kind] for run in earlier if leg.kind in run.counts)
    return next((each.read for each in counts if each.read is not None and not each.held), None)


def _part(leg: Leg, alike: Sequence[Run]) -> int | None:
    counts = (run.counts[leg.kind] for run in alike if leg.kind in run.counts)
    numbers = (each.compared_again if leg.how is How.SLICE else each.processed for each in counts)
    return next((number for number in numbers if number is not None), None)
