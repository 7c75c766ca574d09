"""Finding deliveries: by filter, by page; the items they name, and what came of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Boolean, ColumnElement, Connection, Select, func, literal_column, select
from sqlmodel import SQLModel

from app.domain import ItemKey, Kind, Who
from app.rules.filters import Term, choice_of
from app.stores import tables
from app.stores.columns import moment_from
from app.stores.matching import Condition, beginning, conditions, equal_to, from_on, number, one_of, seen_by, up_to
from app.stores.statements import Statement, is_sqlite, key_of

VERDICTS = ("accepted", "ignored")
OUTCOMES = ("applied", "unchanged", "gone", "held", "dead", "owed")

KEYS = ("id", "connection", "type", "event", "item", "kind", "verdict", "outcome", "since", "until")
"""What a filter of deliveries can speak of. ``item`` is an external id and may end in ``*``; ``outcome`` is what came
of any of its items later, ``owed`` that one is not settled yet; ``since`` and ``until`` are when it was received."""

_EVENTS = SQLModel.metadata.tables[str(tables.InboxEvent.__tablename__)]


def where(
    conn: Connection, terms: Sequence[Term], who: Who, *, now: datetime, connections: Iterable[str]
) -> list[ColumnElement[bool]]:
    """The conditions on ``inbox_events`` that a filter makes; only what ``who`` may see. ``connections`` are those of
    this installation: the index of event ids begins with them."""
    event = _EVENTS.c
    known = sorted(connections)
    keys: dict[str, Condition] = {
        "id": number("id", event.id),
        "connection": equal_to(event.connection),
        "type": beginning(event.type),
        "event": lambda value: event.connection.in_(known) & (event.event_id == value),
        "item": _item,
        "kind": _kind,
        "verdict": one_of("verdict", event.verdict, VERDICTS),
        "outcome": lambda value: _outcome(conn, choice_of("outcome", value, OUTCOMES)),
        "since": from_on(event.received_at, now),
        "until": up_to(event.received_at, now),
    }
    return [seen_by(event.connection, who.connections), *conditions(terms, keys)]


def _item(value: str) -> ColumnElement[bool]:
    """In the JSON text ``[["product","A"]]`` an id is a string that ends its pair."""
    open_ended = value.endswith("*") and value != "*"
    spelled = msgspec.json.encode(value[:-1] if open_ended else value).decode()
    part = f",{spelled[:-1]}" if open_ended else f",{spelled}]"
    return _EVENTS.c["items"].contains(part, autoescape=True)


def _kind(value: str) -> ColumnElement[bool]:
    return _EVENTS.c["items"].contains(f'["{choice_of("kind", value, list(Kind))}",', autoescape=True)


_EACH = {
    True: "json_each(inbox_events.items) AS i",
    False: "json_array_elements(CAST(inbox_events.items AS json)) AS i(value)",
}
_NAMED = "o.connection = inbox_events.connection AND o.kind = i.value ->> 0 AND o.external_id = i.value ->> 1"


def _outcome(conn: Connection, value: str) -> ColumnElement[bool]:
    """``value`` is one of ``OUTCOMES``, so it may stand in the statement as it is."""
    came = "owed_items o" if value == "owed" else "settlements o"
    since = "" if value == "owed" else f" AND o.settled_at >= inbox_events.received_at AND o.outcome = '{value}'"
    each = _EACH[is_sqlite(conn)]
    return literal_column(f"EXISTS (SELECT 1 FROM {each} JOIN {came} ON {_NAMED}{since})", Boolean)


def page(
    conn: Connection, found: Sequence[ColumnElement[bool]], *, limit: int = 50, before_id: int | None = None
) -> list[dict[str, Any]]:
    """Deliveries, newest first, without headers and body but with the body's ``size`` in bytes; ``items`` is a list of
    ``[kind, external_id]``. ``before_id`` continues after the last one of the page before."""
    shown = [column for column in _EVENTS.c if column.name not in ("headers", "body")]
    query = select(*shown, func.length(_EVENTS.c.body).label("size")).where(*found)
    if before_id is not None:
        query = query.where(_EVENTS.c.id < before_id)
    rows = conn.execute(query.order_by(_EVENTS.c.id.desc()).limit(limit)).mappings()
    return [{**row, "items": msgspec.json.decode(row["items"])} for row in rows]


def whole(conn: Connection, found: Sequence[ColumnElement[bool]], at_once: int = 500) -> Iterator[dict[str, Any]]:
    """Deliveries with headers and body, oldest first, some at a time."""
    after = 0
    while rows := conn.execute(_after(found, after, at_once)).mappings().all():
        for row in rows:
            yield {**row, **{name: msgspec.json.decode(row[name]) for name in ("items", "headers")}}
        after = rows[-1]["id"]


def _after(found: Sequence[ColumnElement[bool]], id: int, limit: int) -> Select[Any]:
    return select(_EVENTS).where(*found, _EVENTS.c.id > id).order_by(_EVENTS.c.id).limit(limit)


def keys_of(conn: Connection, found: Sequence[ColumnElement[bool]]) -> list[ItemKey]:
    """The items that accepted deliveries name, each once."""
    wanted = select(_EVENTS.c.connection, _EVENTS.c["items"]).where(*found, _EVENTS.c.verdict == "accepted")
    keys: dict[ItemKey, None] = {}
    for connection, items in conn.execute(wanted.distinct()):
        for kind, external_id in msgspec.json.decode(items):
            keys[ItemKey(connection, Kind(kind), external_id)] = None
    return list(keys)


_CAME = Statement(
    """
    SELECT outcome, settled_at, cause, attempts FROM settlements
    WHERE connection = :connection AND kind = :kind AND external_id = :external_id AND settled_at >= :since
    ORDER BY settled_at, id LIMIT 1
    """
)
_WAITS = Statement(
    """
    SELECT attempts, next_at, cause FROM owed_items
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


def came_of(conn: Connection, key: ItemKey, received_at: datetime) -> dict[str, Any]:
    """What came of one item of a delivery: ``outcome`` and ``settled_at`` of its first settlement since (``None`` while
    there is none), ``waits`` (attempts, next_at, cause) while it is owed, and the ``letter`` it died as, if it did."""
    asked = {**key_of(key), "since": received_at}
    settled, waits, died = _CAME.run(conn, asked), _WAITS.run(conn, key_of(key)), _DIED.run(conn, asked)
    return {
        "kind": str(key.kind),
        "external_id": key.external_id,
        "outcome": settled[0][0] if settled else None,
        "settled_at": moment_from(settled[0][1]) if settled else None,
        "waits": {"attempts": waits[0][0], "next_at": moment_from(waits[0][1]), "cause": waits[0][2]}
        if waits
        else None,
        "letter": {"id": died[0][0], "state": died[0][1]} if died else None,
    }
