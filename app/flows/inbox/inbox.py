"""What people ask about the inbox: which deliveries there are, the outcome of each, and to replay them."""

import base64
from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Connection

from app.domain import ItemKey
from app.errors import Conflict, InvalidRequest, NotFound
from app.flows.deps import Deps
from app.flows.letters.replay import RATE, replay_items
from app.rules.filters import Term, parse, spelled
from app.stores.inbox import inbox, inbox_search
from app.stores.inbox.inbox_search import KEYS
from app.stores.inbox.rows import DeliveryRow, ListedDelivery, StoredDelivery
from app.stores.inbox.rows import ItemOutcome as ItemOutcome

DEFAULT = Term("since", ("7d",))
"""The span of time for a filter that names none and has a key without an index (``SLOW``)."""

SLOW = ("item", "kind", "type", "outcome")

MAX_ITEMS_WITH_LATER = 10
"""For at most this many items of a delivery we list later deliveries: each costs a scan of one day of the inbox."""


class DeliveryView(DeliveryRow, frozen=True, kw_only=True):
    """One delivery: ``body`` is text or base64, as ``encoding`` ("utf-8" or "base64") says; ``pretty`` is JSON with line
    breaks. ``came_of`` has the outcome of each item, if the delivery was accepted."""

    headers: dict[str, str]
    body: str
    encoding: str
    pretty: str | None
    came_of: list[ItemOutcome]


def terms_of(text: str) -> tuple[Term, ...]:
    """The terms of a filter of deliveries, with ``DEFAULT`` where they need it; raises ``FilterError``."""
    terms = parse(text, KEYS)
    keys = {term.key for term in terms}
    bounded = keys & {"id", "event", "since", "until"}
    return (*terms, DEFAULT) if keys & set(SLOW) and not bounded else terms


def find(deps: Deps, text: str, *, limit: int = 50, before_id: int | None = None) -> list[ListedDelivery]:
    """A page of the deliveries that a filter matches, newest first; raises ``FilterError``."""
    terms = terms_of(text)
    with deps.database.read() as conn:
        return inbox_search.page(conn, conditions(deps, conn, terms), limit=limit, before_id=before_id)


def show(deps: Deps, event_id: int) -> DeliveryView:
    """One delivery; raises ``NotFound`` when the caller can see no such delivery."""
    with deps.database.read() as conn:
        event = _visible_event(deps, conn, event_id)
        keys = event.keys if event.verdict == "accepted" else []
        outcomes = [
            _outcome(conn, key, event.received_at, with_later=number < MAX_ITEMS_WITH_LATER)
            for number, key in enumerate(keys)
        ]
    body, encoding = _as_text(event.body)
    columns = {**msgspec.structs.asdict(event), "body": body, "encoding": encoding}
    return DeliveryView(**columns, pretty=_pretty(body) if encoding == "utf-8" else None, came_of=outcomes)


def _outcome(conn: Connection, key: ItemKey, received_at: datetime, *, with_later: bool) -> ItemOutcome:
    later = inbox_search.later(conn, key, received_at) if with_later else []
    return msgspec.structs.replace(inbox_search.came_of(conn, key, received_at), later=later)


def replay_event(deps: Deps, event_id: int) -> int:
    """Fetch the items of one delivery again; returns the replay's number. Raises ``NotFound``, and
    ``Conflict`` for a delivery that names nothing to fetch."""
    with deps.database.read() as conn:
        event = _visible_event(deps, conn, event_id)
    if event.verdict != "accepted" or not event.items:
        raise Conflict(f"event {event_id} ({event.type}) was {event.verdict}: it names nothing to fetch")
    return replay_items(deps, event.keys, f"event {event_id}", filter=f"id:{event_id}", canary=False)


def replay_events(deps: Deps, text: str, name: str, *, rate: int = RATE, canary: bool = True) -> int:
    """Fetch the items of all deliveries that a filter matches again, each once; returns the replay's number."""
    terms = terms_of(text)
    if not terms:
        raise InvalidRequest("say which events: a filter such as since:2h")
    with deps.database.read() as conn:
        keys = inbox_search.keys_of(conn, conditions(deps, conn, terms))
    return replay_items(deps, keys, name, filter=spelled(terms), rate=rate, canary=canary)


def conditions(deps: Deps, conn: Connection, terms: Sequence[Term]) -> list[ColumnElement[bool]]:
    """The conditions of a filter for the caller."""
    return inbox_search.where(conn, terms, deps.principal, now=deps.now(), connections=deps.sources)


def _as_text(body: bytes) -> tuple[str, str]:
    """A body as text, and its encoding."""
    try:
        return body.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"


def _pretty(body: str) -> str | None:
    try:
        msgspec.json.decode(body)
        return msgspec.json.format(body, indent=2)
    except (msgspec.DecodeError, RecursionError):
        return None


def _visible_event(deps: Deps, conn: Connection, event_id: int) -> StoredDelivery:
    event = inbox.get(conn, event_id)
    if event is None or not deps.principal.can_see(event.connection):
        raise NotFound(f"there is no event {event_id}", "event")
    return event
