"""A run as people and programs see it: its status, progress, speed, time to go, calls and reason."""

from datetime import datetime

import msgspec

from app.domain import Options, Status, Strategy
from app.rules.runs.kind_counts import KindCounts
from app.rules.runs.progress import Totals, eta, per_second
from app.stores.runs.run_row import Run


class Eta(msgspec.Struct, frozen=True):
    """Seconds to go."""

    earliest: float
    latest: float


class Price(msgspec.Struct, frozen=True):
    """What the real run of a dry one would cost: it makes the same calls, and takes about as long."""

    calls: int
    minutes: float | None


class ProgressView(Totals, kw_only=True, rename="camel"):
    """The totals of a run with its speed; ``batch`` and ``eta`` only while it is running."""

    items_per_second: float | None
    eta: Eta | None


class RunView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A run, ready for JSON: moments in ISO 8601, ``seconds`` from its start to its end or until now."""

    id: int
    connection: str
    strategy: str
    chosen: Strategy | None
    reason: str | None
    status: Status
    cause: str
    dry_run: bool
    options: Options
    created_at: str
    started_at: str | None
    finished_at: str | None
    seconds: float | None
    progress: ProgressView
    counts: dict[str, KindCounts]
    calls: int
    price: Price | None
    error: str | None

    @property
    def is_active(self) -> bool:
        """Whether the run is at work, or waits to begin or to go on."""
        return self.status in (Status.IDLE, Status.RUNNING)


def run_view(run: Run, now: datetime) -> RunView:
    """The view of a run at this moment."""
    seconds = _seconds(run, now)
    return RunView(
        id=run.id,
        connection=run.connection,
        strategy=run.strategy,
        chosen=run.checkpoint.chosen,
        reason=run.reason,
        status=run.status,
        cause=run.cause,
        dry_run=run.dry,
        options=run.options,
        created_at=run.created_at.isoformat(),
        started_at=iso(run.started_at),
        finished_at=iso(run.finished_at),
        seconds=seconds,
        progress=_progress(run),
        counts=run.counts,
        calls=run.calls,
        price=Price(run.calls, None if seconds is None else round(seconds / 60, 2)) if run.dry else None,
        error=run.error,
    )


def _progress(run: Run) -> ProgressView:
    progress, is_running = run.progress, run.status is Status.RUNNING
    totals = {name: getattr(progress, name) for name in Totals.__struct_fields__}
    totals["total"] = progress.processed if run.status is Status.COMPLETED else progress.total
    totals["batch"] = progress.batch if is_running else None
    speed = per_second(progress.marks) if is_running else _average(run)
    span = eta(progress, run.started_at) if is_running else None
    return ProgressView(
        **totals,
        items_per_second=None if speed is None else round(speed, 1),
        eta=None if span is None else Eta(round(span[0], 1), round(span[1], 1)),
    )


def _average(run: Run) -> float | None:
    if run.started_at is None or run.finished_at is None:
        return None
    seconds = (run.finished_at - run.started_at).total_seconds()
    return run.progress.processed / seconds if seconds > 0 else None


def _seconds(run: Run, now: datetime) -> float | None:
    if run.started_at is None:
        return None
    return round(((run.finished_at or now) - run.started_at).total_seconds(), 3)


def iso(moment: datetime | None) -> str | None:
    """A moment as ISO 8601."""
    return None if moment is None else moment.isoformat()
