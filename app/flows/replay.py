"""Replays a dead letter: its item is owed again, or its message sent again as it was."""

from __future__ import annotations

from app.errors import Refused
from app.flows.deps import Deps
from app.stores import dead_letters


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
        if key is None:
            deps.queue.resend(letter["actor"], letter["queue"], letter["args"])
            return f"letter {letter_id}: {letter['actor']} was sent again"
    deps.queue.wake([key])
    return f"letter {letter_id}: {'/'.join(key)} is owed again"
