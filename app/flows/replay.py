"""Replays a dead letter: its item is owed again, its run resumed, or its message sent again as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from app.errors import Refused
from app.flows.deps import Deps
from app.stores import dead_letters, runs

RUN_ACTOR = "run"


def replay(deps: Deps, letter_id: int) -> str:
    """Replay one letter and return what was done, in words.

    The mark on the letter and the owed item are one commit, so a crash neither loses nor doubles it. A letter without
    an item is marked only once its message is sent. Raises ``Refused`` when there is no such letter or it is not dead
    any more, ``Unavailable`` when the message could not be sent.
    """
    with deps.database.begin() as conn:
        letter = dead_letters.get(conn, letter_id, lock=True)
        if letter is None:
            raise Refused(f"there is no dead letter {letter_id}")
        if letter["state"] != "dead":
            raise Refused(f"dead letter {letter_id} is {letter['state']}, only a dead one can be replayed")
        key = dead_letters.replay(conn, letter_id, deps.now())
        run_id = _resumed(conn, letter) if key is None else None
        if key is None and run_id is None:
            deps.queue.resend(letter["actor"], letter["queue"], letter["args"])
    if run_id is not None:
        deps.queue.wake_run(run_id)
        return f"letter {letter_id}: run {run_id} goes on where it stopped"
    if key is None:
        return f"letter {letter_id}: {letter['actor']} was sent again"
    deps.queue.wake([key])
    return f"letter {letter_id}: {'/'.join(key)} is owed again"


def _resumed(conn: Connection, letter: Mapping[str, Any]) -> int | None:
    """The letter's run, made idle again; ``None`` if it is about no run, or that run is not failed."""
    if letter["actor"] != RUN_ACTOR or [type(arg) for arg in letter["args"]] != [int]:
        return None
    run_id: int = letter["args"][0]
    return run_id if runs.resume(conn, run_id) else None
