"""Operations that change dead letters, and operations about replays."""

from typing import Annotated, Any

from msgspec import Meta

from app.flows.deps import Deps
from app.flows.letters import letter_actions, letters, replay
from app.flows.letters.letters import LetterView
from app.flows.letters.preview import MAX_ITEMS, Preview, preview
from app.flows.letters.replay import ReplayView
from app.web.api.letters import LETTER, LETTERS, Filter, LetterId
from app.web.api.operation import Operations
from app.web.api.params import Page, Params
from app.web.api.responses import Answer, Row, Rows, given, one_more, rows_page

REPLAYS = LETTERS + "/replays"

WAITS = "the replay waits for a worker, or is under way"
_PREVIEW = "what would change, field by field; nothing is written"
_UNDO = "it can be undone for a day"

ReplayId = Annotated[int, Meta(ge=1, le=2**63 - 1, description="a replay's number")]
Name = Annotated[
    str,
    Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$", description="the incident that the replay is to end"),
]
Why = Annotated[
    str, Meta(min_length=1, max_length=2000, pattern=r"^[^\x00]*$", description="the reason, for the record")
]
Rate = Annotated[int, Meta(ge=0, le=100_000, description="items per second; 0: as fast as it goes")]


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


class ReplayLink(Answer, frozen=True):
    """A replay as it is now, and the address to watch it."""

    replay: Row
    href: str


class Discarded(Answer, frozen=True):
    """How many letters were discarded."""

    discarded: int


operations = Operations()


@operations.post(LETTERS + "/replay", WAITS, status=202, errors=(409, 422), heavy=True)
def replay_many(deps: Deps, params: ReplayMany) -> ReplayLink:
    """Replay the dead letters that a filter matches."""
    return link(deps, replay.replay_letters(deps, params.filter, params.name, rate=params.rate, canary=params.canary))


@operations.post(LETTERS + "/preview", _PREVIEW, errors=(409, 422), heavy=True)
def preview_many(deps: Deps, params: PreviewMany) -> Preview:
    """What a replay would change."""
    return preview(deps, params.filter, limit=params.limit)


@operations.post(LETTERS + "/discard", f"the number of letters; {_UNDO}", errors=(409, 422), heavy=True)
def discard_many(deps: Deps, params: DiscardMany) -> Discarded:
    """Discard the dead letters that a filter matches."""
    return Discarded(letter_actions.discard(deps, params.filter, params.why))


@operations.post(LETTER + "/replay", WAITS, status=202, errors=(409, 422))
def replay_one(deps: Deps, id: LetterId) -> ReplayLink:
    """Replay one dead letter."""
    return link(deps, replay.replay_letter(deps, id))


@operations.post(LETTER + "/preview", _PREVIEW, errors=(409, 422), heavy=True)
def preview_one(deps: Deps, id: LetterId) -> Preview:
    """What replaying one dead letter would change."""
    letters.show(deps, id)
    return preview(deps, f"id:{id}")


@operations.post(LETTER + "/discard", f"the letter; {_UNDO}", errors=(409, 422))
def discard_one(deps: Deps, id: LetterId, params: Reason) -> LetterView:
    """Discard one dead letter."""
    letters.show(deps, id)
    letter_actions.discard(deps, f"id:{id}", params.why)
    return letters.show(deps, id)


@operations.post(LETTER + "/restore", "the letter, dead again", errors=(409, 422))
def restore(deps: Deps, id: LetterId) -> LetterView:
    """Undo the discarding of a letter."""
    letter_actions.restore(deps, id)
    return letters.show(deps, id)


@operations.put(LETTER + "/args", "the letter; its original arguments are kept", errors=(409, 422))
def edit_args(deps: Deps, id: LetterId, params: Edit) -> LetterView:
    """Edit the arguments of a dead letter's message."""
    letter_actions.edit_args(deps, id, params.args, params.why)
    return letters.show(deps, id)


@operations.get(REPLAYS, "a page, newest first", heavy=True)
def list_replays(deps: Deps, params: Page) -> Rows:
    """Replays, newest first."""
    replays = replay.list_replays(deps, limit=one_more(params.limit), before_id=given(params.before_id))
    return rows_page(REPLAYS, params, replays)


@operations.get(REPLAYS + "/{id:int}", "as it is now")
def show_replay(deps: Deps, id: ReplayId) -> ReplayView:
    """A replay: its progress and what became of its letters."""
    return replay.show_replay(deps, id)


@operations.post(
    REPLAYS + "/{id:int}/abort", "letters that it had not reached wait for a person again", errors=(409, 422)
)
def abort_replay(deps: Deps, id: ReplayId) -> ReplayLink:
    """Abort a replay; what it has replayed so far stays replayed."""
    replay.abort_replay(deps, id)
    return link(deps, id)


def link(deps: Deps, replay_id: int) -> ReplayLink:
    """A replay and its address."""
    return ReplayLink(replay.show_replay(deps, replay_id), f"{REPLAYS}/{replay_id}")
