"""What people ask of the inbox: which deliveries there are, what came of each, and to have them worked on again."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection

from app.domain import ItemKey, Kind
from app.errors import Conflict, InvalidRequest, NotFound
from app.flows.deps import Deps
from app.flows.letters.replay import RATE, replay_items
from app.rules.filters import Term, parse, spelled
from app.stores.inbox import inbox, inbox_search
from app.stores.inbox.inbox_search import KEYS

DEFAULT = Term("since", ("7d",))
"""What a filter means that says nothing about times, but asks for what no index knows (``SLOW``)."""

SLOW = ("item", "kind", "type", "outcome")

LOOKED_AFTER = 10
"""Items of a delivery that later ones are looked for of: that reads a day of the inbox each."""


def terms_of(text: str) -> tuple[Term, ...]:
    """The terms of a filter of deliveries, with ``DEFAULT`` where they need it; raises ``FilterError``."""
    terms = parse(text, KEYS)
    keys = {term.key for term in terms}
    bounded = keys & {"id", "event", "since", "until"}
    return (*terms, DEFAULT) if keys & set(SLOW) and not bounded else terms


def find(deps: Deps, text: str, *, limit: int = 50, before_id: int | None = None) -> list[dict[str, Any]]:
    """A page of the deliveries that a filter matches, newest first; raises ``FilterError``."""
    terms = terms_of(text)
    with deps.database.read() as conn:
        return inbox_search.page(conn, conditions(deps, conn, terms), limit=limit, before_id=before_id)


def show(deps: Deps, event_id: int) -> dict[str, Any]:
    """One delivery as received: ``headers`` (secrets taken out), ``body`` (text, or base64 with ``encoding``; ``pretty``
    where it is JSON), and ``came_of``: per item what became of it, ``ms`` after receipt, and for the first
    few the ``later`` deliveries about them.

    Raises ``NotFound`` when there is none.
    """
    with deps.database.read() as conn:
        event = _seen(deps, conn, event_id)
        keys = [ItemKey(event["connection"], Kind(kind), external_id) for kind, external_id in event["items"]]
        came = [inbox_search.came_of(conn, key, event["received_at"]) for key in keys]
        for key, one in zip(keys[:LOOKED_AFTER], came, strict=False):
            one["later"] = inbox_search.later(conn, key, event["received_at"])
    for one in came:
        after = one["settled_at"] and (one["settled_at"] - event["received_at"]).total_seconds() * 1000
        one["ms"] = None if after is None else round(after)
    return {**event, **readable(event["body"]), "came_of": came if event["verdict"] == "accepted" else []}


def replay_event(deps: Deps, event_id: int) -> int:
    """Have the items of one delivery fetched again; returns the replay's number. Raises ``Refused``."""
    with deps.database.read() as conn:
        event = _seen(deps, conn, event_id)
    if event["verdict"] != "accepted" or not event["items"]:
        raise Conflict(f"event {event_id} ({event['type']}) was {event['verdict']}: it names nothing to fetch")
    keys = [ItemKey(event["connection"], Kind(kind), external_id) for kind, external_id in event["items"]]
    return replay_items(deps, keys, f"event {event_id}", filter=f"id:{event_id}", canary=False)


def replay_events(deps: Deps, text: str, name: str, *, rate: int = RATE, canary: bool = True) -> int:
    """Have the items of all deliveries that a filter matches fetched again, each once; returns the replay's number."""
    terms = terms_of(text)
    if not terms:
        raise InvalidRequest("say which events: a filter such as since:2h")
    with deps.database.read() as conn:
        keys = inbox_search.keys_of(conn, conditions(deps, conn, terms))
    return replay_items(deps, keys, name, filter=spelled(terms), rate=rate, canary=canary)


def conditions(deps: Deps, conn: Connection, terms: Sequence[Term]) -> list[ColumnElement[bool]]:
    """A filter's conditions as the stores take them, for the one who asks."""
    return inbox_search.where(conn, terms, deps.who, now=deps.now(), connections=deps.sources)


def readable(body: bytes) -> dict[str, str | None]:
    """A body as text where it is text, else as base64: ``body`` and ``encoding`` ("utf-8" or "base64"); and
    ``pretty``, the same with line breaks where it is JSON."""
    try:
        return {"body": body.decode(), "encoding": "utf-8", "pretty": _pretty(body)}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "encoding": "base64", "pretty": None}


def _pretty(body: bytes) -> str | None:
    try:
        msgspec.json.decode(body)
        return msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, RecursionError):
        return None


def _seen(deps: Deps, conn: Connection, event_id: int) -> dict[str, Any]:
    event = inbox.get(conn, event_id)
    if event is None or not deps.who.sees(event["connection"]):
        raise NotFound(f"there is no event {event_id}", "event")
    return event
