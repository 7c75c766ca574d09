"""Draws a run in a terminal: a bar with one line below, from the same view that the HTTP API returns."""

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.domain import Status
from app.flows.runs.runs_view import Eta, ProgressView, RunView

TELL_EVERY = 30.0
"""Seconds between two lines where there is no terminal for a bar."""


class Bar:
    """Shows views of one run. Without a terminal it prints a line now and then instead."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True, refresh_per_second=4) if console.is_terminal else None
        self._printed_at = time.monotonic()

    def show(self, view: RunView, calls_left: int | None = None) -> None:
        """Draw this view."""
        described = line(view, calls_left)
        if self._live is not None:
            drawn = Table.grid()
            drawn.add_row(_bar(view.progress))
            drawn.add_row(Text(described, overflow="fold"))
            self._live.update(drawn)
        elif time.monotonic() - self._printed_at >= TELL_EVERY:
            self._printed_at = time.monotonic()
            self._console.print(described, markup=False, soft_wrap=True)

    def __enter__(self) -> "Bar":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()


def line(view: RunView, calls_left: int | None = None) -> str:
    """Everything a person wants to know about a running run, in one line."""
    progress = view.progress
    parts = [
        f"run {view.id} {title(view)}",
        "waits for a worker" if view.status is Status.IDLE else "",
        _share(progress),
        _amount(progress),
        "" if progress.items_per_second is None else f"{progress.items_per_second:,.0f}/s",
        _eta(progress.eta),
        progress.batch or "",
        calls(view) + ("" if calls_left is None else f", {calls_left:,} left now"),
    ]
    return " · ".join(part for part in parts if part)


def title(view: RunView) -> str:
    """``inventory of shop``; for a smart run also what it chose."""
    chosen = f": {view.chosen}" if view.chosen else ""
    return f"{view.strategy}{chosen} of {view.connection}" + (", dry run" if view.dry_run else "")


def calls(view: RunView) -> str:
    """How many upstream calls the run made."""
    return f"{view.calls:,} {'call' if view.calls == 1 else 'calls'}"


def span(seconds: float) -> str:
    """A span of time in words: ``40 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _bar(progress: ProgressView) -> ProgressBar:
    total = progress.total
    return ProgressBar(total=total or None, completed=min(progress.processed, total or 0), width=50, pulse=not total)


def _share(progress: ProgressView) -> str:
    total = progress.total
    return f"{min(100, 100 * progress.processed // total)} %" if total else ""


def _amount(progress: ProgressView) -> str:
    of = f" of {progress.total:,}" if progress.total is not None else ""
    return f"{progress.processed:,}{of}"


def _eta(eta: Eta | None) -> str:
    if eta is None:
        return ""
    earliest, latest = span(eta.earliest), span(eta.latest)
    return f"{earliest} left" if earliest == latest else f"{earliest} to {latest} left"
