"""Requests a replay: of one dead letter, of all that a filter matches, or of items; shows and aborts replays."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from app.domain import ItemKey
from app.errors import Conflict, InvalidRequest, NotFound
from app.flows.access import audit
from app.flows.connections.health import resting
from app.flows.deps import Deps
from app.flows.letters.letters import conditions, dead_terms, visible_letter
from app.flows.letters.messages import check_replayable
from app.rules.filters import parse, spelled
from app.stores import replays
from app.stores.letters import letter_search
from app.stores.replays import Progress, ReplayRow, Skipped, replay_skips

RATE = 50
"""Items per second unless the caller names another rate: an incident's letters must not become the next incident."""

MAX_RATE = 100_000
MAX_NAME_LENGTH = 200


class ReplayView(ReplayRow, frozen=True, kw_only=True):
    """A replay as it is now.

    ``per_second`` is its pace since it began, ``seconds_left`` what it needs at that pace. ``still_dead`` counts letters
    of it that are dead (again). ``paused`` are the connections (``shop``) and kinds (``shop/vendor``) whose items
    wait until they can be read.
    """

    progress: Progress
    per_second: float | None
    seconds_left: int | None
    skipped: list[Skipped]
    paused: list[str]
    still_dead: int


def replay_letter(deps: Deps, letter_id: int, *, name: str | None = None) -> int:
    """Replay one dead letter; returns the replay's number. Raises ``NotFound``, or ``Conflict`` when it cannot
    be replayed."""
    with deps.database.read() as conn:
        letter = visible_letter(deps, conn, letter_id)
    if letter.state != "dead":
        raise Conflict(f"dead letter {letter_id} is {letter.state}, only a dead one can be replayed")
    check_replayable(letter)
    if letter.connection not in (None, *deps.sources):
        raise Conflict(f"letter {letter_id} is of {letter.connection!r}, and there is no such connection any more")
    return replay_letters(deps, f"id:{letter_id}", name or f"letter {letter_id}", canary=False)


def replay_letters(deps: Deps, text: str, name: str, *, rate: int = RATE, canary: bool = True) -> int:
    """Replay the dead letters that a filter matches, each item once; returns the replay's number.

    ``name`` is the incident that this is to end. ``rate`` is items per second, 0 for no limit. With a ``canary`` 1 item
    goes first, then 10, then the rest, each stage once the items before it succeeded. One transaction queues the
    letters and stores their items, so nobody else can replay them meanwhile. Items of connections that were removed are
    skipped, and their letters stay dead. Raises ``Refused``.
    """
    terms = dead_terms(text)
    request = _Request("letters", _name(name), spelled(terms), _rate(rate), canary)
    with deps.database.begin() as conn:
        where, _ = conditions(deps, conn, terms)
        id = _open(deps, conn, request)
        letters = replays.add_letters(conn, id, where)
        if letters == 0:
            raise NotFound(f"no dead letter matches {request.filter!r}")
        _skip_and_note(deps, conn, id, request, {"letters": letters})
    deps.queue.enqueue_replay(id)
    return id


def replay_items(
    deps: Deps, keys: Sequence[ItemKey], name: str, *, filter: str, rate: int = RATE, canary: bool = True
) -> int:
    """Replay the items of the deliveries that ``filter`` matches; returns the replay's number. Raises ``Refused``."""
    request = _Request("events", _name(name), filter, _rate(rate), canary)
    if not keys:
        raise NotFound(f"nothing to replay: no event that matches {filter!r} names an item")
    with deps.database.begin() as conn:
        id = _open(deps, conn, request)
        replays.add_items(conn, id, keys)
        _skip_and_note(deps, conn, id, request, {"items": len(set(keys))})
    deps.queue.enqueue_replay(id)
    return id


class _Request(NamedTuple):
    """A replay that somebody wants, checked."""

    of: str
    name: str
    filter: str
    rate: int
    canary: bool


def _name(name: str) -> str:
    words = " ".join(name.split())
    if not words or len(words) > MAX_NAME_LENGTH:
        raise InvalidRequest(
            f"a replay needs a name of at most {MAX_NAME_LENGTH} characters: the incident that it is to end"
        )
    return words


def _rate(rate: int) -> int:
    if not 0 <= rate <= MAX_RATE:
        raise InvalidRequest(f"a rate is 0 (no limit) to {MAX_RATE} items per second")
    return rate


def _open(deps: Deps, conn: Connection, request: _Request) -> int:
    return replays.open_(conn, **request._asdict(), asked_by=deps.principal.name, now=deps.now())


def _skip_and_note(deps: Deps, conn: Connection, id: int, request: _Request, size: dict[str, int]) -> None:
    """Skip the items that cannot be sent, and write the replay into the audit log."""
    skipped = replay_skips.skip(conn, id, deps.sources, deps.now())
    options = {"filter": request.filter, "rate": request.rate, "canary": request.canary, "name": request.name}
    after = {**options, **size, **({"skipped": skipped} if skipped else {})}
    audit.note(deps, conn, f"{request.of}.replay", f"replay {id}", after=after, why=request.name)


def abort_replay(deps: Deps, replay_id: int) -> None:
    """Stop a replay; letters that it had not reached are dead again. Raises ``Conflict`` when it is over."""
    with deps.database.begin() as conn:
        status = _visible_replay(deps, conn, replay_id).status
        if not replays.end(conn, replay_id, "aborted", f"by {deps.principal.name}", deps.now()):
            raise Conflict(f"replay {replay_id} is {status} already")
        after = {"status": "aborted", **msgspec.structs.asdict(replays.progress(conn, replay_id))}
        audit.note(deps, conn, "replay.abort", f"replay {replay_id}", before={"status": status}, after=after)


def show_replay(deps: Deps, replay_id: int) -> ReplayView:
    """A replay as it is now; raises ``NotFound`` when the caller can see no such replay."""
    resting_now = resting(deps)
    with deps.database.read() as conn:
        return _view(deps, conn, _visible_replay(deps, conn, replay_id), resting_now)


def list_replays(deps: Deps, *, limit: int = 50, before_id: int | None = None) -> list[ReplayView]:
    """Replays that the caller may see, newest first."""
    resting_now = resting(deps)
    with deps.database.read() as conn:
        rows = replays.latest(conn, limit=limit, before_id=before_id)
        return [_view(deps, conn, row, resting_now) for row in rows if _may_see(deps, conn, row.id)]


def _view(deps: Deps, conn: Connection, row: ReplayRow, resting_now: frozenset[str]) -> ReplayView:
    progress = replays.progress(conn, row.id)
    seconds = ((row.finished_at or deps.now()) - row.started_at).total_seconds() if row.started_at else 0.0
    pace = round((progress.done + progress.failed) / seconds, 1) if seconds > 0 else None
    going = row.status in ("idle", "running")
    where, _ = conditions(deps, conn, parse(f"replay:{row.id} state:dead", letter_search.KEYS))
    return ReplayView(
        **msgspec.structs.asdict(row),
        progress=progress,
        per_second=pace,
        seconds_left=round(progress.unfinished / pace) if pace and row.status == "running" else None,
        skipped=replay_skips.skipped(conn, row.id),
        paused=sorted(_waits_for(conn, row.id, resting_now)) if going else [],
        still_dead=letter_search.count(conn, where) if row.of == "letters" else 0,
    )


def _waits_for(conn: Connection, id: int, resting_now: frozenset[str]) -> set[str]:
    names = set[str]().union(*(one.names for one in replay_skips.unfinished_kinds(conn, id)))
    return names & resting_now


def _visible_replay(deps: Deps, conn: Connection, replay_id: int) -> ReplayRow:
    row = replays.get(conn, replay_id)
    if row is None or not _may_see(deps, conn, replay_id):
        raise NotFound(f"there is no replay {replay_id}", "replay")
    return row


def _may_see(deps: Deps, conn: Connection, replay_id: int) -> bool:
    """A replay's name and progress say something about all its members, so only a person who may see all of them may see
    it."""
    return deps.principal.connections is None or all(
        map(deps.principal.can_see, replays.connections(conn, replay_id))
    )
