"""Drives a replay: sends its items step by step, watches their outcomes, and stops at the first new failure."""

import threading
import time
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

import structlog
from sqlalchemy import Connection

from app.domain import Status
from app.errors import Unavailable
from app.flows.connections import health
from app.flows.deps import Deps
from app.flows.items.dead_letter import RUN_ACTOR, run_of
from app.rules.letters.replaying import SendRate, allowed
from app.stores import replays
from app.stores.letters import dead_letters
from app.stores.letters.rows import Letter
from app.stores.replays import Member, Progress, ReplayRow, replay_skips
from app.stores.runs import runs

LEASE = 5.0
"""Seconds until another worker continues where a killed one stopped."""

SLICE = 10.0
"""Seconds that one message drives a replay. Then the next message does, so that no thread is held for long."""

POLL_SECONDS = 0.2
"""Seconds between two looks at the outcomes of the items sent."""

PATIENCE = timedelta(minutes=10)
"""A replay stops after this long without a settled item: a person should look. While it has items of a paused
connection, or of a kind that must not be read, it does not stop: they are owed, and settled when they can be read."""

log = structlog.get_logger()

Paused = Callable[[Deps], Collection[str]]
"""Returns what must not be read now, as ``health.resting`` does."""


def drive_replay(
    deps: Deps, replay_id: int, *, lease: float = LEASE, slice_: float = SLICE, paused: Paused = health.resting
) -> None:
    """Continue a replay for ``slice_`` seconds, or to its end; does nothing if another worker has it, or it is over.

    If nothing that is left can be read now, this returns and the sweep enqueues the replay again.
    """
    token = uuid4().hex
    with deps.database.begin() as conn:
        replay = replays.start(conn, replay_id, token, lease, deps.now())
        if replay is None:
            return
        replay_skips.skip(conn, replay_id, deps.sources, deps.now())
    driver = _Driver(deps, replay, token, lease, paused)
    pause = threading.Event()
    until = time.monotonic() + slice_
    while driver.step():
        if driver.all_paused or time.monotonic() >= until:
            with deps.database.begin() as conn:
                replays.give_way(conn, replay_id, token, deps.now())
            if not driver.all_paused:
                deps.queue.enqueue_replay(replay_id)
            return
        if driver.idle:
            pause.wait(POLL_SECONDS)


class _End(NamedTuple):
    """How a replay ended."""

    status: str
    reason: str | None


class _Driver:
    """One worker that drives a replay."""

    def __init__(self, deps: Deps, replay: ReplayRow, token: str, lease: float, paused: Paused) -> None:
        self._deps = deps
        self._paused = paused
        self._replay = replay
        self._token = token
        self._lease = timedelta(seconds=lease)
        self._rate = SendRate(replay.rate, time.monotonic())
        self._done = -1
        self._settled_at = deps.now()
        self.idle = False
        self.all_paused = False

    def step(self) -> bool:
        """Judge outcomes and send what may be sent; ``False`` when the replay is over or another worker has it."""
        now, paused = self._deps.now(), set(self._paused(self._deps))
        id = self._replay.id
        with self._deps.database.begin() as conn:
            if not replays.hold(conn, id, self._token, now + self._lease):
                return False
            progress = replays.judge(conn, id, now)
            unfinished = replay_skips.unfinished_kinds(conn, id) if paused else set()
            resting = {one for one in unfinished if paused & one.names}
            end = self._end(conn, progress, waits=bool(resting))
            if end is not None:
                replays.end(conn, id, *end, now)
                log.info("replay_ended", replay=id, name=self._replay.name, **end._asdict())
                return False
            count = self._may_send(progress)
            keys, message = replays.send(conn, id, count, now, paused) if count else ([], None)
            message = message or replays.unfinished(conn, id)
            self.all_paused = bool(unfinished) and resting == unfinished
        self._rate.sent(len(keys))
        self._deps.queue.enqueue(keys)
        if message is not None:
            self._send_message(message)
        self.idle = not keys and message is None
        return True

    def _end(self, conn: Connection, progress: Progress, *, waits: bool) -> _End | None:
        """How the replay ended, if it has. While it ``waits`` for what cannot be read now, ``PATIENCE`` does not count."""
        if progress.failed:
            reason = replays.first_failure(conn, self._replay.id)
            return _End("stopped", reason and self._deps.redact(reason))
        if not progress.unfinished:
            skipped = replay_skips.skipped(conn, self._replay.id)
            reason = "; ".join(f"{one.items:,} skipped: {one.why}" for one in skipped) or None
            return _End("completed", reason and self._deps.redact(reason))
        now = self._deps.now()
        if waits or progress.done != self._done or not progress.sent:
            self._done, self._settled_at = progress.done, now
        if now - self._settled_at > PATIENCE:
            minutes = PATIENCE.total_seconds() / 60
            return _End("stopped", f"nothing was settled for {minutes:.0f} minutes; are workers running?")
        return None

    def _may_send(self, progress: Progress) -> int:
        sent = progress.sent + progress.sending + progress.done
        stage = allowed(canary=self._replay.canary, sent=sent, settled=progress.done)
        due = self._rate.due(time.monotonic())
        return due if stage is None else min(due, stage)

    def _send_message(self, member: Member) -> None:
        """Send a message about no item. It is marked before it is sent, and the next driver finds it by that mark if this
        process dies in between: the message may be sent twice, under one id, but is never lost."""
        with self._deps.database.begin() as conn:
            replays.sending(conn, member, self._deps.now())
            letter = dead_letters.get(conn, member.letter_id)
        if letter is not None and self._skip_if_removed(member, letter):
            return
        error = "its letter is gone" if letter is None else self._resend(letter)
        with self._deps.database.begin() as conn:
            replays.end_member(conn, member.id, error, self._deps.now())
        self._rate.sent(1)

    def _skip_if_removed(self, member: Member, letter: Letter) -> bool:
        """Skip a message about a run of a connection that was removed; its letter stays dead."""
        run_id = run_of(letter.actor, letter.args)
        with self._deps.database.begin() as conn:
            run = None if run_id is None else runs.get(conn, run_id)
            if run is None or run.connection in self._deps.sources:
                return False
            why = f"there is no connection {run.connection!r}"
            replay_skips.skip_member(conn, member.id, why, self._deps.now())
            dead_letters.dead_again(conn, letter.id)
            return True

    def _resend(self, letter: Letter) -> str | None:
        """Send the message again; returns the error if that failed."""
        if letter.actor == RUN_ACTOR:
            return self._resume(letter)
        try:
            message_id = f"{letter.message_id}:r{letter.replays}"
            self._deps.queue.resend(letter.actor, letter.queue, letter.args, id=message_id)
        except Unavailable as error:
            return self._dead_again(letter, str(error))
        return None

    def _resume(self, letter: Letter) -> str | None:
        """Resume the run that the message is about; returns the error if that failed."""
        run_id = run_of(letter.actor, letter.args)
        try:
            with self._deps.database.begin() as conn:
                run = None if run_id is None else runs.get(conn, run_id)
                resumed = run is not None and runs.resume(conn, run.id)
        except runs.CLASHES:  # another run of the connection was opened in this very moment
            resumed = False
        if run is not None and resumed:
            self._deps.queue.enqueue_run(run.id)
            return None
        if run is not None and (run.is_active or run.status is Status.COMPLETED):
            return None  # somebody resumed it already
        return self._dead_again(letter, f"run {run_id} cannot be resumed: another run of its connection is active")

    def _dead_again(self, letter: Letter, error: str) -> str:
        with self._deps.database.begin() as conn:
            dead_letters.dead_again(conn, letter.id)
        return error
