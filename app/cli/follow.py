"""Follows a run: watches its row, carries it out in this process if asked to, and reports how it ended."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer

from app.channels.queue import NullQueue
from app.cli.codes import FAILED, INTERRUPTED, WELL
from app.cli.console import open_deps, stderr
from app.cli.outcome import print_run
from app.cli.progress import Bar
from app.domain import Status
from app.flows.connections import health
from app.flows.deps import Deps
from app.flows.items.leases import LeaseKeeper
from app.flows.reports.status import is_a_worker_alive
from app.flows.runs.history import bulk_calls_left, show_run
from app.flows.runs.request_run import cancel_run
from app.flows.runs.run import run
from app.flows.runs.runs_view import RunView
from app.local.stop_signal import StopSignal

EVERY = 0.5
"""Seconds between two reads of the run's row."""

Direct = Annotated[
    bool, typer.Option("--direct", help="carry it out in this process: no broker, web or worker needed")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="do not watch it; leave it to the workers")]


class DirectRun:
    """Carries a run out in a thread of this process, while the main thread shows it."""

    def __init__(self, deps: Deps, run_id: int) -> None:
        self.error: BaseException | None = None
        self._keeper = LeaseKeeper(deps.database, deps.now)
        self._thread = threading.Thread(target=self._carry, args=(deps, run_id), name="run", daemon=True)
        self._thread.start()

    def ended(self) -> bool:
        """Whether the run has ended, or was given back."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Wait until the current page is done."""
        self._thread.join()
        self._keeper.stop()

    def _carry(self, deps: Deps, run_id: int) -> None:
        try:
            run(deps, self._keeper, run_id)
        except BaseException as error:  # also recorded on the run, unless the database itself is the trouble
            self.error = error


def open_for(*, direct: bool, no_wait: bool) -> Deps:
    """The deps of a command that starts a run; with ``--direct`` no message goes to the workers."""
    if direct and no_wait:
        raise typer.BadParameter("--direct carries the run out in this process and cannot go with --no-wait")
    return open_deps(NullQueue() if direct else None)


def follow_run(deps: Deps, run_id: int, *, direct: bool, no_wait: bool, as_json: bool) -> NoReturn:
    """Watch a run to its end unless told not to, print its result, and exit with the matching code."""
    left = False
    if not no_wait:
        if not direct:
            _warn_if_nobody_works(deps)
        left = watch(deps, run_id, direct=direct)
    view = show_run(deps, run_id)
    print_run(deps, view, as_json=as_json)
    if left:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(WELL if no_wait or view.status is Status.COMPLETED else FAILED)


def watch(deps: Deps, run_id: int, *, direct: bool) -> bool:
    """Show a run until it is over; ``True`` if the person stopped watching or cancelled it."""
    cancelled = False
    with _interrupts() as interrupted:
        direct_run = DirectRun(deps, run_id) if direct else None
        while not _shown_until(deps, run_id, direct_run, interrupted):
            interrupted.clear()
            cancelled = _cancelled(deps, run_id, direct_run)
            if not cancelled and direct_run is None:
                stderr.print(f"Run {run_id} continues; see `tallyhook runs show {run_id} --watch`.")
                return True
    if direct_run is not None:
        if cancelled:
            stderr.print(f"Run {run_id} is cancelled; it stops after the current page.")
        direct_run.wait()
    return cancelled


def _shown_until(deps: Deps, run_id: int, direct_run: DirectRun | None, interrupted: StopSignal) -> bool:
    """Draw the run until it is over (``True``) or the person interrupts."""
    with Bar(stderr) as bar:
        while not interrupted.is_set():
            # Asked before the read, so that the read sees the last write.
            ended = direct_run is not None and direct_run.ended()
            view = show_run(deps, run_id)
            if not view.is_active:
                return True
            if ended and direct_run is not None:
                return _given_back(deps, view, direct_run)
            bar.show(view, bulk_calls_left(deps, view.connection))
            interrupted.wait(EVERY)
    return False


def _given_back(deps: Deps, view: RunView, direct_run: DirectRun) -> bool:
    """Report why the run could not be carried out now; it continues when a worker takes it again."""
    if direct_run.error is not None:
        raise direct_run.error
    reason = health.blocked(deps, view.connection) or "it continues where it stopped"
    stderr.lines(f"Run {view.id} waits: {reason}")
    return True


def _cancelled(deps: Deps, run_id: int, direct_run: DirectRun | None) -> bool:
    """Ask whether to cancel the run. With nobody to ask it continues, unless this process carries it out."""
    wanted = direct_run is not None
    if sys.stdin.isatty():
        try:
            with _interrupts(signal.default_int_handler):
                wanted = typer.confirm(f"Cancel run {run_id}?", default=False, err=True)
        except typer.Abort:  # Ctrl-C again, in the middle of the line
            stderr.print()
    if wanted:
        cancel_run(deps, show_run(deps, run_id).connection, run_id)
    return wanted


@contextmanager
def _interrupts(handler: Any = None) -> Iterator[StopSignal]:
    """Ctrl-C sets what is returned (or calls the handler) instead of interrupting the current work."""
    interrupted = StopSignal()
    before = signal.signal(signal.SIGINT, handler or (lambda *_: interrupted.set()))
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _warn_if_nobody_works(deps: Deps) -> None:
    if not is_a_worker_alive(deps):
        stderr.print("No worker is alive: the run waits for one. `tallyhook up` starts workers, --direct needs none.")
