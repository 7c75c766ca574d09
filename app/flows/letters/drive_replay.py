"""Drives a replay: sends its items step by step, watches what comes of them, and stops at the first new failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.domain import Status
from app.errors import Unavailable
from app.flows.connections import health
from app.flows.deps import Deps
from app.flows.letters.messages import RUN_ACTOR, run_of
from app.rules.letters.replaying import Pace, allowed
from app.stores import replays
from app.stores.letters import dead_letters
from app.stores.replays import Member, replay_skips
from app.stores.runs import runs

LEASE = 5.0
"""Seconds until another worker goes on where a killed one stopped."""

SLICE = 10.0
"""Seconds that one message drives; then the next one does, so that no thread is held for long and a worker can stop."""

LOOK_AGAIN = 0.2
"""Seconds between two looks at what came of the items sent."""

PATIENCE = timedelta(minutes=10)
"""After so long without anything settled a replay stops: somebody should look. Not while a connection is paused that
items of it belong to: they are owed, and settled when it answers again."""

log = structlog.get_logger()


Paused = Callable[[Deps], Collection[str]]
"""Says which connections are not to be asked now."""


def drive_replay(
    deps: Deps, replay_id: int, *, lease: float = LEASE, slice_: float = SLICE, paused: Paused = health.paused
) -> None:
    """Go on with a replay for ``slice_`` seconds, or to its end; a no-op when somebody else has it, or it is over.

    Where all that is left belongs to paused connections it waits without a thread: the sweep has it looked at again.
    """
    token = uuid4().hex
    with deps.database.begin() as conn:
        row = replays.start(conn, replay_id, token, lease, deps.now())
        if row is None:
            return
        replay_skips.skip(conn, replay_id, deps.sources, deps.now())
    driver = _Driver(deps, row, token, lease, paused)
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
            pause.wait(LOOK_AGAIN)


class _Driver:
    """One worker's turn at a replay."""

    def __init__(self, deps: Deps, row: dict[str, Any], token: str, lease: float, paused: Paused) -> None:
        self._deps = deps
        self._paused = paused
        self._row = row
        self._id: int = row["id"]
        self._token = token
        self._lease = timedelta(seconds=lease)
        self._pace = Pace(row["rate"], time.monotonic())
        self._settled = -1
        self._settled_at = deps.now()
        self.idle = False
        self.all_paused = False

    def step(self) -> bool:
        """Judge, and send what may be sent, in one transaction; ``False`` when the replay is over or not ours."""
        now, paused = self._deps.now(), set(self._paused(self._deps))
        with self._deps.database.begin() as conn:
            if not replays.hold(conn, self._id, self._token, now + self._lease):
                return False
            counts = replays.judge(conn, self._id, now)
            unfinished = replay_skips.unfinished_connections(conn, self._id) if paused else set()
            ended = self._ended(counts, waits=bool(paused & unfinished))
            if ended is not None:
                status, reason = ended
                reason = reason or self._reason(conn, status)
                replays.end(conn, self._id, status, None if reason is None else self._deps.redact(reason), now)
                log.info("replay_ended", replay=self._id, name=self._row["name"], status=status, reason=reason)
                return False
            count = self._may_send(counts)
            keys, alone = replays.send(conn, self._id, count, now, paused) if count else ([], None)
            alone = alone or replays.unfinished(conn, self._id)
            self.all_paused = bool(unfinished) and unfinished <= paused
        self._pace.sent(len(keys))
        self._deps.queue.enqueue(keys)
        if alone is not None:
            self._send_alone(alone)
        self.idle = not keys and alone is None
        return True

    def _reason(self, conn: Connection, status: str) -> str | None:
        """What a person should know of the end: the first failure, or what was skipped."""
        if status == "stopped":
            return replays.first_failure(conn, self._id)
        skipped = replay_skips.skipped(conn, self._id)
        return "; ".join(f"{one.items:,} skipped: {one.why}" for one in skipped) or None

    def _ended(self, counts: dict[str, int], *, waits: bool) -> tuple[str, str | None] | None:
        """How it ended, if it has; the reason of a failure is found by the caller. ``waits`` for a paused connection:
        it has all the time it needs."""
        if counts["failed"]:
            return "stopped", None
        if counts["waiting"] + counts["sending"] + counts["sent"] == 0:
            return "completed", None
        now = self._deps.now()
        if waits or counts["done"] != self._settled or not counts["sent"]:
            self._settled, self._settled_at = counts["done"], now
        if now - self._settled_at > PATIENCE:
            return (
                "stopped",
                f"nothing was settled for {PATIENCE.total_seconds() / 60:.0f} minutes; are workers running?",
            )
        return None

    def _may_send(self, counts: dict[str, int]) -> int:
        sent = counts["sent"] + counts["sending"] + counts["done"]
        stage = allowed(canary=self._row["canary"], sent=sent, settled=counts["done"])
        due = self._pace.due(time.monotonic())
        return due if stage is None else min(due, stage)

    def _send_alone(self, member: Member) -> None:
        """A message about no item. It is marked before it is sent, and found by that mark if this process dies in
        between: it may then be sent twice, under one id, but is never lost."""
        with self._deps.database.begin() as conn:
            replays.sending(conn, member, self._deps.now())
            letter = dead_letters.get(conn, member.letter_id)
        if letter is not None and self._skipped(member, letter):
            return
        error = "its letter is gone" if letter is None else self._resend(letter)
        with self._deps.database.begin() as conn:
            replays.end_member(conn, member.id, error, self._deps.now())
        self._pace.sent(1)

    def _skipped(self, member: Member, letter: dict[str, Any]) -> bool:
        """Whether it is about a run of a connection that is gone; then its letter stays dead."""
        run_id = run_of(letter["actor"], letter["args"])
        with self._deps.database.begin() as conn:
            run = None if run_id is None else runs.get(conn, run_id)
            if run is None or run.connection in self._deps.sources:
                return False
            why = f"there is no connection {run.connection!r}"
            replay_skips.skip_member(conn, member.id, why, self._deps.now())
            dead_letters.dead_again(conn, letter["id"])
            return True

    def _resend(self, letter: dict[str, Any]) -> str | None:
        if letter["actor"] == RUN_ACTOR:
            return self._resume(letter)
        try:
            again = f"{letter['message_id']}:r{letter['replays']}"
            self._deps.queue.resend(letter["actor"], letter["queue"], letter["args"], id=again)
        except Unavailable as error:
            return self._dead_again(letter, str(error))
        return None

    def _resume(self, letter: dict[str, Any]) -> str | None:
        run_id = run_of(letter["actor"], letter["args"])
        try:
            with self._deps.database.begin() as conn:
                run = None if run_id is None else runs.get(conn, run_id)
                resumed = run is not None and runs.resume(conn, run.id)
        except IntegrityError:  # another run of the connection was opened in this very moment
            resumed = False
        if run is not None and resumed:
            self._deps.queue.enqueue_run(run.id)
            return None
        if run is not None and (run.is_active or run.status is Status.COMPLETED):
            return None  # somebody resumed it already
        return self._dead_again(letter, f"run {run_id} cannot be resumed: another run of its connection is active")

    def _dead_again(self, letter: dict[str, Any], error: str) -> str:
        with self._deps.database.begin() as conn:
            dead_letters.dead_again(conn, letter["id"])
        return error
