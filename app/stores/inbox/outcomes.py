"""Finds deliveries by their outcome, beginning with the settlements: few settlements name few deliveries to look at."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Connection, and_, case, false, literal_column, true

from app.stores import tables
from app.stores.sql.columns import moment_from, moment_text
from app.stores.sql.statements import Statement, is_sqlite, json_text

OWED = "owed"
"""The outcome of what is not settled yet; every other one is a settlement's."""

MOST, MOST_NAMED = 100, 2_000
"""How many settlements, and how many deliveries that name their items, are read together. For a more frequent outcome the
earlier deliveries are looked up one by one, because many of them have it."""

EVER, NEVER = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)

_EVENTS = tables.core(tables.InboxEvent)


def came_to(conn: Connection, outcome: str, since: datetime | None) -> ColumnElement[bool]:
    """The condition on ``inbox_events`` that any of a delivery's items came to an outcome later. It holds for deliveries
    received at ``since`` or later; the filter must exclude earlier ones.

    ``outcome`` must be safe to be part of a statement.
    """
    start = since or EVER  # what was settled before says nothing of what was received later
    settled = {"outcome": outcome, "since": start, "most": MOST}
    came = _OWED.run(conn, {"most": MOST}) if outcome == OWED else _SETTLED.run(conn, settled)
    if not came:
        return false()
    exact, full = _looked_up(conn, outcome), len(came) == MOST
    if outcome == OWED:
        return exact if full else and_(_naming(conn, came, max(start, min(_owed_since(row) for row in came))), exact)
    oldest = (moment_from(came[-1][2]) or start) if full else start
    return and_(_naming(conn, came, oldest, all_=not full), exact)


_OWED = Statement(
    """
    SELECT kind, external_id, NULL, first_seen_at, (
        SELECT max(settled_at) FROM settlements s
        WHERE s.connection = o.connection AND s.kind = o.kind AND s.external_id = o.external_id)
    FROM owed_items o LIMIT :most
    """
)
_SETTLED = Statement(
    """
    SELECT kind, external_id, settled_at FROM settlements WHERE outcome = :outcome AND settled_at >= :since
    ORDER BY settled_at DESC LIMIT :most
    """
)


def _owed_since(row: Any) -> datetime:
    """The moment since which an item is owed; deliveries received before it are settled."""
    first_seen_at, settled_at = moment_from(row[3]), moment_from(row[4])
    return min(first_seen_at or EVER, settled_at or EVER)


# An item is compared as the inbox spells it. PostgreSQL must not take the items apart once for each that is wanted:
# from within SELECT it does so once, whatever it thinks of their number.
_NAMING = Statement(
    """
    WITH came (item, last) AS MATERIALIZED (SELECT value ->> 0, value ->> 1 FROM json_each(:came))
    SELECT e.id, e.received_at FROM inbox_events e CROSS JOIN json_each(e.items) i
    CROSS JOIN came c ON c.item = i.value AND c.last >= e.received_at
    WHERE e.received_at >= :since AND e.received_at <= :until ORDER BY e.received_at DESC LIMIT :most
    """,
    postgresql="""
    SELECT id, received_at FROM (
        SELECT id, received_at, json_array_elements_text(items::json) AS item FROM inbox_events
        WHERE received_at >= :since AND received_at <= :until
    ) AS named JOIN unnest(:items::text[], :lasts::timestamptz[]) AS c(item, last) USING (item)
    WHERE last >= received_at ORDER BY received_at DESC LIMIT :most
    """,
)


def _naming(conn: Connection, came: Sequence[Any], since: datetime, *, all_: bool = True) -> ColumnElement[bool]:
    """Deliveries since a moment that name an item of ``came`` (newest first) and are no newer than that; before the moment
    none are asked for (``all_``), or every one may be meant."""
    last: dict[str, datetime] = {}
    for kind, external_id, at, *_ in came:
        last.setdefault(json_text((kind, external_id)), moment_from(at) or NEVER)
    asked = {"since": since, "until": max(last.values()), "most": MOST_NAMED}
    named = _NAMING.run(conn, {**_given(conn, last), **asked})
    ids = _EVENTS.c.id.in_({row[0] for row in named})
    if len(named) == MOST_NAMED:
        since, all_ = moment_from(named[-1][1]) or since, False
    # No OR: SQLite would look both halves up and sort them, where the newest fifty are enough.
    return ids if all_ else case((_EVENTS.c.received_at > since, ids), else_=true())


def _given(conn: Connection, last: dict[str, datetime]) -> dict[str, Any]:
    if is_sqlite(conn):
        return {"came": json_text([(item, moment_text(at)) for item, at in last.items()])}
    return {"items": list(last), "lasts": list(last.values())}


_EACH = {
    True: "json_each(inbox_events.items) AS i",
    False: "json_array_elements(CAST(inbox_events.items AS json)) AS i(value)",
}
_NAMED = "o.connection = inbox_events.connection AND o.kind = i.value ->> 0 AND o.external_id = i.value ->> 1"

# Owed since the delivery or before it; one that came from elsewhere may be older than what it is owed since.
_UNSETTLED = """
    AND (o.first_seen_at <= inbox_events.received_at OR NOT EXISTS (
        SELECT 1 FROM settlements s WHERE s.connection = o.connection AND s.kind = o.kind
        AND s.external_id = o.external_id AND s.settled_at >= inbox_events.received_at))
"""


def _looked_up(conn: Connection, outcome: str) -> ColumnElement[bool]:
    """Whether a delivery has the outcome by the settlements of its items, or by what is owed of them."""
    came = "owed_items o" if outcome == OWED else "settlements o"
    since = (
        _UNSETTLED
        if outcome == OWED
        else f" AND o.settled_at >= inbox_events.received_at AND o.outcome = '{outcome}'"
    )
    # SQLite keeps the order of a CROSS JOIN: the few items of an event first, each looked up by the index.
    each, join = (_EACH[True], "CROSS JOIN") if is_sqlite(conn) else (_EACH[False], "JOIN")
    return literal_column(f"EXISTS (SELECT 1 FROM {each} {join} {came} ON {_NAMED}{since})", Boolean)
