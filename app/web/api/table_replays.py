"""The operations that do something about dead letters, and those about replays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.domain import Role
from app.web.api import replays
from app.web.api.answers import Rows
from app.web.api.asked import Asked
from app.web.api.letters import OfLetter
from app.web.api.operation import Operation

LETTERS = "/api/dead-letters"
LETTER = LETTERS + "/{id:int}"
REPLAYS = LETTERS + "/replays"

_OBJECT = dict[str, Any]
_DELIVERED = (408, 409, 413, 422)


def _changes(
    path: str,
    summary: str,
    call: Callable[..., Any],
    asks: type[Asked],
    answers: Any,
    says: str,
    *,
    method: str = "POST",
    in_body: bool = True,
    status: int = 200,
    of: type[Asked] | None = None,
    heavy: bool = False,
) -> Operation:
    errors = _DELIVERED if in_body else (409, 422)
    least = Role.OPERATOR
    return Operation(method, path, summary, call, answers, says, asks, in_body, status, errors, least, of, heavy)


OPERATIONS: tuple[Operation, ...] = (
    _changes(
        LETTERS + "/replay",
        "Replay the dead letters that a filter matches",
        replays.replay_many,
        replays.ReplayMany,
        replays.ReplayLink,
        "the replay waits for a worker, or is under way",
        status=202,
        heavy=True,
    ),
    _changes(
        LETTERS + "/preview",
        "What a replay would change",
        replays.preview_many,
        replays.PreviewMany,
        _OBJECT,
        "what would change, field by field; nothing is written",
        heavy=True,
    ),
    _changes(
        LETTERS + "/discard",
        "Discard the dead letters that a filter matches",
        replays.discard_many,
        replays.DiscardMany,
        replays.Discarded,
        "the number of letters; it can be undone for a day",
        heavy=True,
    ),
    _changes(
        LETTER + "/replay",
        "Replay one dead letter",
        replays.replay_one,
        OfLetter,
        replays.ReplayLink,
        "the replay waits for a worker, or is under way",
        in_body=False,
        status=202,
    ),
    _changes(
        LETTER + "/preview",
        "What replaying one dead letter would change",
        replays.preview_one,
        OfLetter,
        _OBJECT,
        "what would change, field by field; nothing is written",
        in_body=False,
        heavy=True,
    ),
    _changes(
        LETTER + "/discard",
        "Discard one dead letter",
        replays.discard_one,
        replays.Reason,
        _OBJECT,
        "the letter; it can be undone for a day",
        of=OfLetter,
    ),
    _changes(
        LETTER + "/restore",
        "Undo the discarding of a letter",
        replays.restore,
        OfLetter,
        _OBJECT,
        "the letter, dead again",
        in_body=False,
    ),
    _changes(
        LETTER + "/args",
        "Edit the arguments of a dead letter's message",
        replays.edit_args,
        replays.Edit,
        _OBJECT,
        "the letter; its original arguments are kept",
        method="PUT",
        of=OfLetter,
    ),
    Operation(
        "GET", REPLAYS, "Replays", replays.list_replays, Rows, "a page, newest first", replays.ReplayPage, heavy=True
    ),
    Operation(
        "GET", REPLAYS + "/{id:int}", "A replay", replays.show_replay, _OBJECT, "as it is now", replays.OfReplay
    ),
    _changes(
        REPLAYS + "/{id:int}/abort",
        "Abort a replay",
        replays.abort_replay,
        replays.OfReplay,
        replays.ReplayLink,
        "letters that it had not reached wait for a person again",
        in_body=False,
    ),
)
