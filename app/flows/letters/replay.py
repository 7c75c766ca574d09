"""Asking for a replay: of one dead letter, of all that a filter matches, or of items; and aborting one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from app.domain import ItemKey
from app.errors import Conflict, InvalidRequest, NotFound
from app.flows.access import audit
from app.flows.connections.health import paused
from app.flows.deps import Deps
from app.flows.letters.letters import conditions, dead_terms, seen
from app.flows.letters.messages import check_replayable
from app.rules.filters import parse, spelled
from app.stores import replays
from app.stores.letters import letter_search
from app.stores.replays import replay_skips

RATE = 50
"""Items per second unless somebody wishes otherwise: an incident's letters must not become the next incident."""

FASTEST = 100_000
LONGEST_NAME = 200


def replay_letter(deps: Deps, letter_id: int, *, name: str | None = None) -> int:
    """Have one dead letter's item tried again; returns the replay's number. Raises ``Refused`` when it cannot be."""
    with deps.database.read() as conn:
        letter = seen(deps, conn, letter_id)
        if letter["state"] != "dead":
            raise Conflict(f"dead letter {letter_id} is {letter['state']}, only a dead one can be replayed")
        check_replayable(letter)
        if letter["connection"] not in (None, *deps.sources):
            raise Conflict(
                f"letter {letter_id} is of {letter['connection']!r}, and there is no such connection any more"
            )
    return replay_letters(deps, f"id:{letter_id}", name or f"letter {letter_id}", canary=False)


def replay_letters(deps: Deps, text: str, name: str, *, rate: int = RATE, canary: bool = True) -> int:
    """Replay the dead letters that a filter matches, collapsed per item; returns the replay's number.

    ``name`` says which incident this is to end. ``rate`` is items per second, 0 for as fast as it goes; with a
    ``canary`` 1 item goes first, then 10, then the rest, each once the ones before went well. In one transaction the
    letters are queued and their items noted: nobody else can replay them meanwhile. Items of connections that are gone
    are skipped, and their letters stay dead. Raises ``Refused``.
    """
    named = _named(name, rate)
    terms = dead_terms(text)
    with deps.database.begin() as conn:
        found, _ = conditions(deps, conn, terms)
        asked: dict[str, Any] = {"filter": spelled(terms), "rate": rate, "canary": canary}
        id = replays.open_(conn, of="letters", name=named, asked_by=deps.who.name, now=deps.now(), **asked)
        letters = replays.add_letters(conn, id, found)
        if letters == 0:
            raise NotFound(f"no dead letter matches {spelled(terms)!r}")
        skipped = replay_skips.skip(conn, id, deps.sources, deps.now())
        told = {**asked, "letters": letters, "name": named, **({"skipped": skipped} if skipped else {})}
        audit.note(deps, conn, "letters.replay", f"replay {id}", after=told, why=named)
    deps.queue.enqueue_replay(id)
    return id


def replay_items(
    deps: Deps, keys: Sequence[ItemKey], name: str, *, filter: str, rate: int = RATE, canary: bool = True
) -> int:
    """Have items tried again because events about them are replayed; returns the replay's number."""
    named = _named(name, rate)
    if not keys:
        raise NotFound(f"nothing to replay: no event that matches {filter!r} names an item")
    with deps.database.begin() as conn:
        asked: dict[str, Any] = {"filter": filter, "rate": rate, "canary": canary}
        id = replays.open_(conn, of="events", name=named, asked_by=deps.who.name, now=deps.now(), **asked)
        replays.add_items(conn, id, keys)
        skipped = replay_skips.skip(conn, id, deps.sources, deps.now())
        told = {**asked, "items": len(set(keys)), "name": named, **({"skipped": skipped} if skipped else {})}
        audit.note(deps, conn, "events.replay", f"replay {id}", after=told, why=named)
    deps.queue.enqueue_replay(id)
    return id


def abort_replay(deps: Deps, replay_id: int) -> None:
    """Stop a replay; what it had not come to waits for a person again. Raises ``Conflict`` when it is over."""
    with deps.database.begin() as conn:
        status = _seen(deps, conn, replay_id)["status"]
        if not replays.end(conn, replay_id, "aborted", f"by {deps.who.name}", deps.now()):
            raise Conflict(f"replay {replay_id} is {status} already")
        after = {"status": "aborted", **replays.counts(conn, replay_id)}
        audit.note(deps, conn, "replay.abort", f"replay {replay_id}", before={"status": status}, after=after)


def show_replay(deps: Deps, replay_id: int) -> dict[str, Any]:
    """A replay, its ``progress`` (members by state), ``per_second`` since it began, ``seconds_left`` at that pace,
    ``still_dead``: letters of it that are dead (again), ``skipped``: how many ``items`` of a ``connection`` cannot be
    tried and ``why``, and ``paused``: connections whose items wait until they answer. Raises ``Refused`` when there is
    none."""
    resting = paused(deps)
    with deps.database.read() as conn:
        return _view(deps, conn, _seen(deps, conn, replay_id), resting)


def list_replays(deps: Deps, *, limit: int = 50, before_id: int | None = None) -> list[dict[str, Any]]:
    """Replays, newest first, each as ``show_replay`` tells it."""
    resting = paused(deps)
    with deps.database.read() as conn:
        rows = replays.latest(conn, limit=limit, before_id=before_id)
        return [_view(deps, conn, row, resting) for row in rows if _may_see(deps, conn, row["id"])]


def _view(deps: Deps, conn: Connection, row: dict[str, Any], resting: frozenset[str]) -> dict[str, Any]:
    progress = replays.counts(conn, row["id"])
    ended = row["finished_at"] or deps.now()
    seconds = (ended - row["started_at"]).total_seconds() if row["started_at"] else 0.0
    over = progress["done"] + progress["failed"]
    pace = round(over / seconds, 1) if seconds > 0 else None
    left = progress["waiting"] + progress["sending"] + progress["sent"]
    going = row["status"] in ("idle", "running")
    found, _ = conditions(deps, conn, parse(f"replay:{row['id']} state:dead", letter_search.KEYS))
    shown = {name: value for name, value in row.items() if name not in ("token", "lease_until", "hinted_at")}
    return {
        **shown,
        "progress": progress,
        "per_second": pace,
        "seconds_left": round(left / pace) if pace and row["status"] == "running" else None,
        "skipped": [one._asdict() for one in replay_skips.skipped(conn, row["id"])],
        "paused": sorted(resting & replay_skips.unfinished_connections(conn, row["id"])) if going else [],
        "still_dead": letter_search.count(conn, found) if row["of"] == "letters" else 0,
    }


def _seen(deps: Deps, conn: Connection, replay_id: int) -> dict[str, Any]:
    row = replays.get(conn, replay_id)
    if row is None or not _may_see(deps, conn, replay_id):
        raise NotFound(f"there is no replay {replay_id}", "replay")
    return row


def _may_see(deps: Deps, conn: Connection, replay_id: int) -> bool:
    """Only who sees all that a replay touches may see it: its name and progress speak of everything."""
    return deps.who.connections is None or all(map(deps.who.sees, replays.connections(conn, replay_id)))


def _named(name: str, rate: int) -> str:
    named = " ".join(name.split())
    if not named or len(named) > LONGEST_NAME:
        raise InvalidRequest(
            f"a replay needs a name of at most {LONGEST_NAME} characters: the incident that it is to end"
        )
    if not 0 <= rate <= FASTEST:
        raise InvalidRequest(f"a rate is 0 (no limit) to {FASTEST} items per second")
    return named
