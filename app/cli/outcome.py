"""Prints a run, a list of runs, and the differences that a run found."""

from collections.abc import Sequence

from msgspec import to_builtins
from rich.table import Table

from app.cli.console import console, moment, objects, print_json
from app.cli.progress import calls, line, span, title
from app.cli.tables import add_row, print_table
from app.domain import Status
from app.flows.deps import Deps
from app.flows.runs.history import Difference, DriftCount, differences_of
from app.flows.runs.runs_view import RunView
from app.rules.drift.drift_advice import advice_on, since_words

SHOWN = 20
"""Differences of a dry run that a person sees; a program gets ``MOST``, and reads more with ``tallyhook drift``."""

MOST = 500

_EFFECTS = ("created", "updated", "unchanged", "deleted")
_TROUBLES = ("failed", "held")


def print_run(deps: Deps, view: RunView, *, as_json: bool) -> None:
    """Print the state of a run; for a dry run also what it would have written."""
    rows, summary = _dry_run_rows(deps, view, MOST if as_json else SHOWN)
    if as_json:
        diff = {"diff": {"summary": objects(summary), "rows": objects(rows)}} if view.dry_run else {}
        print_json({**to_builtins(view), **diff})
        return
    console.lines(*sentences(view))
    if rows:
        console.lines(summary_line(summary))
        print_table(differences(rows, f"the first {len(rows)}" if len(rows) == SHOWN else "all of them"), "")
        console.print(f"More: tallyhook drift {view.connection} --run {view.id}")


def sentences(view: RunView) -> list[str]:
    """A run in a few lines; while it is running, the line under its bar."""
    if view.is_active:
        return [line(view)]
    progress = view.progress
    numbers = [f"{getattr(progress, name):,} {name}" for name in _EFFECTS]
    numbers += [f"{getattr(progress, name):,} {name}" for name in _TROUBLES if getattr(progress, name)]
    took = "" if view.seconds is None else f" in {span(view.seconds)}"
    wrote = "it would be " if view.dry_run else ""
    said = [
        f"Run {view.id} ({title(view)}) {view.status}{took}: {progress.processed:,} read; "
        f"{wrote}{', '.join(numbers)}; {calls(view)}."
    ]
    return said + _further(view)


def _further(view: RunView) -> list[str]:
    progress, lines = view.progress, []
    if view.reason:
        lines.append(f"Why {view.reason}")
    if view.error:
        lines.append(f"Error: {view.error}")
    if view.status in (Status.FAILED, Status.CANCELLED):
        lines.append(f"It can continue where it stopped: tallyhook runs resume {view.id}")
    for kind, counts in view.counts.items():
        if counts.forbidden:
            lines.append(f"Left out {kind}: {counts.forbidden}")
        if counts.held:
            lines.append(f"{'It would hold' if view.dry_run else 'Held'} of {kind}: {counts.held}")
        if counts.incomplete:
            lines.append(f"Of {kind}: {counts.incomplete}")
    if progress.owed and not view.dry_run:
        lines.append(f"{progress.owed:,} items were only named: they are owed, and the workers fetch each of them.")
    if progress.failed:
        lines.append(f"Items that failed: tallyhook failed {view.connection}")
    if progress.held and not view.dry_run:
        lines.append("Batches that wait for a person: tallyhook holds list")
    return lines


def differences(rows: Sequence[Difference], heading: str) -> Table:
    """Differences, with the old and the new (or would-be) value of each field."""
    table = Table(
        "id", "run", "kind", "item", "change", "cause", "our copy was wrong", "fields", "why", title=heading
    )
    for row in rows:
        fields = ", ".join(f"{name}: {old} → {new}" for name, (old, new) in row.fields.items())[:200]
        since = "" if row.why is None else since_words(row.since, row.since_latest)
        texts = (row.kind, row.item, row.change, _cause(row), since, fields, row.why or "")
        add_row(table, row.id, row.run_id, *texts)  # a spot check is no run
    return table


def _cause(row: Difference) -> str:
    return row.cause if row.corrected_from is None else f"{row.cause} (not {row.corrected_from})"


def advice_lines(rows: Sequence[Difference]) -> list[str]:
    """What to do about these differences, one line per cause."""
    causes = sorted({row.cause for row in rows})
    return [f"{cause}: {advice}" for cause in causes if (advice := advice_on(cause)) is not None]


def summary_line(summary: Sequence[DriftCount]) -> str:
    """How many rows differ, and in which way, in one line."""
    return "; ".join(f"{one.rows:,} {one.kind} {one.change} ({one.cause})" for one in summary)


def run_table(views: Sequence[RunView]) -> Table:
    """Runs, one per line."""
    table = Table(
        "id", "asked for", "strategy", "status", "cause", "read", "created", "updated", "failed", "took", "why"
    )
    for view in views:
        progress = view.progress
        strategy = view.strategy + (f": {view.chosen}" if view.chosen else "")
        add_row(
            table,
            view.id,
            moment(view.created_at),
            strategy + (" (dry run)" if view.dry_run else ""),
            view.status,
            view.cause,
            *(f"{getattr(progress, name):,}" for name in ("processed", "created", "updated", "failed")),
            None if view.seconds is None else span(view.seconds),
            (view.error or view.reason or "")[:100],
        )
    return table


def _dry_run_rows(deps: Deps, view: RunView, limit: int) -> tuple[list[Difference], list[DriftCount]]:
    """The first rows that a dry run would write, and the number of each sort."""
    if not view.dry_run:
        return [], []
    return differences_of(deps, view.id, limit)
