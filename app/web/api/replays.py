"""Operations that change dead letters, and operations about replays."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.flows.deps import Deps
from app.flows.letters import letter_actions, letters, replay
from app.flows.letters.preview import MAX_ITEMS, preview
from app.web.api.letters import LETTER, LETTERS, Filter, OfLetter
from app.web.api.operation import Operation
from app.web.api.pages import before_last, one_more, page
from app.web.api.params import Most, Params, RowId
from app.web.api.responses import Row, Rows
from app.web.api.spelling import camel

ReplayId = Annotated[int, Meta(ge=1, le=2**63 - 1, description="a replay's number")]
Name = Annotated[
    str,
    Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$", description="the incident that the replay is to end"),
]
Why = Annotated[
    str, Meta(min_length=1, max_length=2000, pattern=r"^[^\x00]*$", description="the reason, for the record")
]
Rate = Annotated[int, Meta(ge=0, le=100_000, description="items per second; 0: as fast as it goes")]


class OfReplay(Params, frozen=True, kw_only=True):
    """One replay."""

    id: ReplayId


class ReplayPage(Params, frozen=True, kw_only=True):
    """A page of replays."""

    limit: Most = 50
    before_id: RowId | UnsetType = UNSET


class ReplayMany(Params, frozen=True, kw_only=True):
    """All dead letters that a filter matches; with a canary 1 item goes first, then 10, then the rest."""

    filter: Filter
    name: Name
    rate: Rate = replay.RATE
    canary: bool = True


class PreviewMany(Params, frozen=True, kw_only=True):
    """The items of a filter's letters, at most ``limit``: each may cost a call."""

    filter: Filter
    limit: Annotated[int, Meta(ge=1, le=100)] = MAX_ITEMS


class DiscardMany(Params, frozen=True, kw_only=True):
    """All dead letters that a filter matches."""

    filter: Filter
    why: Why


class Reason(Params, frozen=True, kw_only=True):
    """Why."""

    why: Why


class Edit(Params, frozen=True, kw_only=True):
    """Other arguments for one letter's message."""

    args: Annotated[list[Any], Meta(max_length=10)]
    why: Why


class ReplayLink(msgspec.Struct, frozen=True):
    """A replay as it is now, and the address to watch it."""

    replay: Row
    href: str


class Discarded(msgspec.Struct, frozen=True):
    """How many letters were discarded."""

    discarded: int


def replay_many(deps: Deps, params: ReplayMany) -> ReplayLink:
    """Replay the letters that a filter matches."""
    return link(deps, replay.replay_letters(deps, params.filter, params.name, rate=params.rate, canary=params.canary))


def replay_one(deps: Deps, params: OfLetter) -> ReplayLink:
    """Replay one letter."""
    return link(deps, replay.replay_letter(deps, params.id))


def preview_many(deps: Deps, params: PreviewMany) -> dict[str, Any]:
    """What a replay would change."""
    return _object(preview(deps, params.filter, limit=params.limit))


def preview_one(deps: Deps, params: OfLetter) -> dict[str, Any]:
    """What replaying one letter would change."""
    letters.show(deps, params.id)
    return _object(preview(deps, f"id:{params.id}"))


def discard_many(deps: Deps, params: DiscardMany) -> Discarded:
    """Discard the letters that a filter matches."""
    return Discarded(letter_actions.discard(deps, params.filter, params.why))


def discard_one(deps: Deps, of: OfLetter, body: Reason) -> dict[str, Any]:
    """Discard one letter."""
    letters.show(deps, of.id)
    letter_actions.discard(deps, f"id:{of.id}", body.why)
    return _object(letters.show(deps, of.id))


def restore(deps: Deps, params: OfLetter) -> dict[str, Any]:
    """Undo the discarding of a letter."""
    letter_actions.restore(deps, params.id)
    return _object(letters.show(deps, params.id))


def edit_args(deps: Deps, of: OfLetter, body: Edit) -> dict[str, Any]:
    """Edit a letter's arguments."""
    letter_actions.edit_args(deps, of.id, body.args, body.why)
    return _object(letters.show(deps, of.id))


def list_replays(deps: Deps, params: ReplayPage) -> Rows:
    """Replays, newest first."""
    before = None if params.before_id is UNSET else params.before_id
    replays = replay.list_replays(deps, limit=one_more(params.limit), before_id=before)
    rows, following = page("/api/dead-letters/replays", params, msgspec.to_builtins(replays), before_last)
    return Rows(camel(rows), following)


def show_replay(deps: Deps, params: OfReplay) -> dict[str, Any]:
    """A replay as it is now."""
    return _object(replay.show_replay(deps, params.id))


def abort_replay(deps: Deps, params: OfReplay) -> ReplayLink:
    """Abort a replay; what it has replayed so far stays replayed."""
    replay.abort_replay(deps, params.id)
    return link(deps, params.id)


def link(deps: Deps, replay_id: int) -> ReplayLink:
    """A replay and its address."""
    return ReplayLink(_object(replay.show_replay(deps, replay_id)), f"/api/dead-letters/replays/{replay_id}")


def _object(value: msgspec.Struct) -> dict[str, Any]:
    renamed: dict[str, Any] = camel(msgspec.to_builtins(value))
    return renamed


REPLAYS = LETTERS + "/replays"

_WAITS = "the replay waits for a worker, or is under way"
_PREVIEW = "what would change, field by field; nothing is written"
_UNDO = "it can be undone for a day"


def _changes(
    path: str, call: Callable[..., Any], summary: str, description: str, *, method: str = "POST", **more: Any
) -> Operation:
    return Operation(method, path, call, summary, description, errors=(409, 422), **more)


OPERATIONS = (
    _changes(
        LETTERS + "/replay",
        replay_many,
        "Replay the dead letters that a filter matches",
        _WAITS,
        status=202,
        heavy=True,
    ),
    _changes(LETTERS + "/preview", preview_many, "What a replay would change", _PREVIEW, heavy=True),
    _changes(
        LETTERS + "/discard",
        discard_many,
        "Discard the dead letters that a filter matches",
        f"the number of letters; {_UNDO}",
        heavy=True,
    ),
    _changes(LETTER + "/replay", replay_one, "Replay one dead letter", _WAITS, status=202),
    _changes(LETTER + "/preview", preview_one, "What replaying one dead letter would change", _PREVIEW, heavy=True),
    _changes(LETTER + "/discard", discard_one, "Discard one dead letter", f"the letter; {_UNDO}"),
    _changes(LETTER + "/restore", restore, "Undo the discarding of a letter", "the letter, dead again"),
    _changes(
        LETTER + "/args",
        edit_args,
        "Edit the arguments of a dead letter's message",
        "the letter; its original arguments are kept",
        method="PUT",
    ),
    Operation("GET", REPLAYS, list_replays, "Replays", "a page, newest first", heavy=True),
    Operation("GET", REPLAYS + "/{id:int}", show_replay, "A replay", "as it is now"),
    _changes(
        REPLAYS + "/{id:int}/abort",
        abort_replay,
        "Abort a replay",
        "letters that it had not reached wait for a person again",
    ),
)
