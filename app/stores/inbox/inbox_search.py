"""Finds deliveries by filter, page by page; the items that they name, and what became of each."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, func, select

from app.domain import ItemKey, Kind, Principal, Verdict
from app.domain.decoding import decode
from app.rules.filters import Term, choice_of, moment_of
from app.stores import tables
from app.stores.inbox import outcomes
from app.stores.inbox.rows import DiedAs, ItemOutcome, LaterDelivery, ListedDelivery, StoredDelivery, Waiting
from app.stores.sql.columns import moment_from, some_moment
from app.stores.sql.matching import (
    Condition,
    beginning,
    conditions,
    equal_to,
    from_on,
    number,
    older,
    one_of,
    seen_by,
    up_to,
)
from app.stores.sql.statements import Statement, is_sqlite, json_text, key_of

VERDICTS = tuple(Verdict)
OUTCOMES = ("applied", "unchanged", "gone", "stale", "held", "dead", "owed")

KEYS = ("id", "connection", "type", "event", "item", "kind", "verdict", "outcome", "since", "until")
"""The keys of a filter of deliveries. ``item`` is an external id and may end in ``*``; ``outcome`` is what became of any of
its items later (``owed``: one is not settled yet); ``since`` and ``until`` limit when it was received."""

LATER = timedelta(days=1)
MOST_LATER = 5
"""A delivery is shown with later ones that name the same item: at most this long after it, and at most this many."""

_EVENTS = tables.core(tables.InboxEvent)


def where(
    conn: Connection, terms: Sequence[Term], principal: Principal, *, now: datetime, connections: Iterable[str]
) -> list[ColumnElement[bool]]:
    """The conditions on ``inbox_events`` that a filter makes; only what ``principal`` may see. ``connections`` are those of
    this installation: the index of event ids begins with them."""
    event = _EVENTS.c
    known, since = sorted(connections), _since(terms, now)
    keys: dict[str, Condition] = {
        "id": number("id", event.id),
        "connection": equal_to(_of_connection(conn)),
        "type": beginning(event.type),
        "event": lambda value: event.connection.in_(known) & (event.event_id == value),
        "item": _item,
        "kind": _kind,
        "verdict": one_of("verdict", event.verdict, VERDICTS),
        "outcome": lambda value: outcomes.came_to(conn, choice_of("outcome", value, OUTCOMES), since),
        "since": from_on(event.received_at, now),
        "until": up_to(event.received_at, now),
    }
    return [seen_by(_of_connection(conn), principal.connections), *conditions(terms, keys)]


def _of_connection(conn: Connection) -> ColumnElement[str]:
    """The connection; written so that SQLite does not use the index of event ids, because it would then have to sort."""
    column: ColumnElement[str] = _EVENTS.c.connection
    return column.concat("") if is_sqlite(conn) else column


def _item(value: str) -> ColumnElement[bool]:
    """In the JSON text ``[["product","A"]]`` an id is a string that ends its pair."""
    open_ended = value.endswith("*") and value != "*"
    spelled = json_text(value[:-1] if open_ended else value)
    part = f",{spelled[:-1]}" if open_ended else f",{spelled}]"
    return _EVENTS.c["items"].contains(part, autoescape=True)


def _kind(value: str) -> ColumnElement[bool]:
    return _EVENTS.c["items"].contains(f'["{choice_of("kind", value, list(Kind))}",', autoescape=True)


def _since(terms: Sequence[Term], now: datetime) -> datetime | None:
    """The moment since which every match was received, if the terms say so."""
    since = [term for term in terms if term.key == "since" and not term.negated]
    return max((min(moment_of(value, now) for value in term.values) for term in since), default=None)


def page(
    conn: Connection, conditions: Sequence[ColumnElement[bool]], *, limit: int = 50, before_id: int | None = None
) -> list[ListedDelivery]:
    """Deliveries, newest first; ``before_id`` continues after the last one of the page before."""
    shown = [column for column in _EVENTS.c if column.name not in ("headers", "body")]
    query = select(*shown, func.length(_EVENTS.c.body).label("size")).where(*conditions)
    if before_id is not None:
        query = query.where(older(conn, *_ORDER, before_id))
    rows = conn.execute(query.order_by(*(column.desc() for column in _ORDER)).limit(limit)).mappings()
    return [ListedDelivery(**{**row, "items": _items(row["items"])}) for row in rows]


_ORDER = (_EVENTS.c.received_at, _EVENTS.c.id)  # what was imported was received long before it got its id


def whole(
    conn: Connection, conditions: Sequence[ColumnElement[bool]], at_once: int = 500
) -> Iterator[StoredDelivery]:
    """Deliveries with headers and body, oldest first, some at a time."""
    after = 0
    query = select(_EVENTS).where(*conditions).order_by(_EVENTS.c.id).limit(at_once)
    while rows := conn.execute(query.where(_EVENTS.c.id > after)).mappings().all():
        for row in rows:
            headers = msgspec.json.decode(row["headers"])
            yield StoredDelivery(**{**row, "items": _items(row["items"]), "headers": headers})
        after = rows[-1]["id"]


def keys_of(conn: Connection, conditions: Sequence[ColumnElement[bool]]) -> list[ItemKey]:
    """The items that accepted deliveries name, each once."""
    wanted = select(_EVENTS.c.connection, _EVENTS.c["items"]).where(*conditions, _EVENTS.c.verdict == "accepted")
    keys: dict[ItemKey, None] = {}
    for connection, items in conn.execute(wanted.distinct()):
        for kind, external_id in _items(items):
            keys[ItemKey(connection, Kind(kind), external_id)] = None
    return list(keys)


def _items(text: str) -> list[tuple[str, str]]:
    return decode(text, list[tuple[str, str]])


_CAME = Statement(
    """
    SELECT outcome, settled_at, changes, first_seen_at FROM settlements
    WHERE connection = :connection AND kind = :kind AND external_id = :external_id AND settled_at >= :since
    ORDER BY settled_at, id LIMIT 2
    """
)
_WAITS = Statement(
    """
    SELECT attempts, next_at, cause, first_seen_at FROM owed_items
    WHERE connection = :connection AND kind = :kind AND external_id = :external_id
    """
)
_DIED = Statement(
    """
    SELECT id, state FROM dead_letters
    WHERE connection = :connection AND kind = :kind AND external_id = :external_id AND died_at >= :since
    ORDER BY died_at, id LIMIT 1
    """
)


def came_of(conn: Connection, key: ItemKey, received_at: datetime) -> ItemOutcome:
    """What became of one item of a delivery."""
    params = {**key_of(key), "since": received_at}
    waits, died = _WAITS.run(conn, key_of(key)), _DIED.run(conn, params)
    outcome, settled_at, changes = _covering(_CAME.run(conn, params), waits, received_at) or (None, None, None)
    return ItemOutcome(
        kind=str(key.kind),
        external_id=key.external_id,
        outcome=outcome,
        settled_at=settled_at,
        changes=changes,
        waits=Waiting(waits[0][0], some_moment(waits[0][1]), waits[0][2]) if waits else None,
        letter=DiedAs(*died[0]) if died else None,
        ms=None if settled_at is None else round((settled_at - received_at).total_seconds() * 1000),
    )


def _covering(settled: Sequence[Any], waits: Sequence[Any], received_at: datetime) -> tuple[Any, Any, Any] | None:
    """A change that came while its item was being fetched is covered by the next settlement, which counts from then."""
    starts = [moment_from(row[3]) for row in (*settled, *waits)]
    begun = [place for place, start in enumerate(starts) if start is not None and start <= received_at]
    place = begun[-1] if begun else 0
    if place >= len(settled):
        return None
    outcome, settled_at, changes, _ = settled[place]
    return outcome, moment_from(settled_at), changes


def later(conn: Connection, key: ItemKey, received_at: datetime) -> list[LaterDelivery]:
    """The first deliveries about an item on the day that followed."""
    event = _EVENTS.c
    pair = json_text([key.kind, key.external_id])
    query = select(event.id, event.event_id, event.received_at).where(
        event.received_at > received_at,
        event.received_at <= received_at + LATER,
        _of_connection(conn) == key.connection,
        event["items"].contains(pair, autoescape=True),
    )
    return [LaterDelivery(*row) for row in conn.execute(query.order_by(*_ORDER).limit(MOST_LATER))]


def latest_headers(
    conn: Connection, connection: str, since: datetime, limit: int
) -> list[tuple[dict[str, str], datetime]]:
    """Headers and time of receipt of the latest deliveries of a connection, newest first."""
    wanted = (_EVENTS.c.connection == connection, _EVENTS.c.received_at >= since)
    query = select(_EVENTS.c.headers, _EVENTS.c.received_at).where(*wanted).order_by(_EVENTS.c.received_at.desc())
    return [(msgspec.json.decode(headers), received_at) for headers, received_at in conn.execute(query.limit(limit))]
