"""Guesses how many records a run will have from the numbers of earlier runs."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from app.domain import Kind, Options
from app.flows.runs.run_state import ActiveRun
from app.rules.runs.strategies import ReadMode, Stage
from app.stores import catalog
from app.stores.runs import runs
from app.stores.runs.run_row import Run


def guesses(run: ActiveRun, plan: Sequence[Stage]) -> list[int | None]:
    """Records of each stage, ``None`` where nothing is known. A whole read will have as many as the last one of its kind, or
    as there are rows; any other stage as many as in the last run with the same strategy and options."""
    with run.deps.database.read() as conn:
        earlier = runs.completed(conn, run.connection)
        known = [_whole(stage, earlier) for stage in plan]
        is_new = any(stage.mode is ReadMode.FULL and read is None for stage, read in zip(plan, known, strict=True))
        stored = catalog.counts(conn, run.connection) if is_new else {}
    options = _of_real_run(run.options)
    alike = [
        each for each in earlier if each.chosen_strategy is run.strategy and _of_real_run(each.options) == options
    ]
    return [
        _part(stage, alike) if stage.mode is not ReadMode.FULL else read if read is not None else _live(stage, stored)
        for stage, read in zip(plan, known, strict=True)
    ]


def _of_real_run(options: Options) -> Options:
    return replace(options, dry_run=False)


def _live(stage: Stage, stored: Mapping[Kind, tuple[int, int]]) -> int | None:
    """Our live rows of the kind; ``None`` without any, because then nothing is known."""
    return stored.get(stage.kind, (0, 0))[0] or None


def _whole(stage: Stage, earlier: Sequence[Run]) -> int | None:
    counts = (run.counts[stage.kind] for run in earlier if stage.kind in run.counts)
    return next((each.read for each in counts if each.read is not None and not each.held), None)


def _part(stage: Stage, alike: Sequence[Run]) -> int | None:
    counts = (run.counts[stage.kind] for run in alike if stage.kind in run.counts)
    numbers = (each.compared_again if stage.mode is ReadMode.SLICE else each.processed for each in counts)
    return next((number for number in numbers if number is not None), None)
