"""Messages that will not be retried by themselves: found, understood, replayed or discarded by a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, cast, func, select, update
from sqlalchemy.dialects.postgresql import JSON
from sqlmodel import SQLModel

from app.domain import Cause, ItemKey, Kind
from app.stores import attempts, owed, tables
from app.stores.statements import Statement, is_sqlite, key_of

_LETTERS = SQLModel.metadata.tables[str(tables.DeadLetter.__tablename__)]

_INSERT = Statement(
    """
    INSERT INTO dead_letters (message_id, actor, queue, args, connection, kind, external_id, cause, error_type, error,
                              attempts, first_failed_at, died_at, state, replays)
    VALUES (:message_id, :actor, :queue, :args, :connection, :kind, :external_id, :cause, :error_type, :error,
            :attempts, :first_failed_at, :died_at, 'dead', 0)
    ON CONFLICT (message_id) DO NOTHING RETURNING id
    """
)
_SETTLE = Statement(
    """
    INSERT INTO settlements (connection, kind, external_id, cause, outcome, changes, attempts, first_seen_at,
                             settled_at)
    SELECT connection, kind, external_id, cause, 'dead', rev, attempts, first_seen_at, :now FROM owed_items
    WHERE connection = :connection AND kind = :kind AND external_id = :external_id
    """
)


def bury(
    conn: Connection,
    *,
    message_id: str,
    actor: str,
    queue: str,
    args: Sequence[Any],
    key: ItemKey | None,
    cause: str | None,
    error: BaseException,
    worker: str,
    now: datetime,
) -> int:
    """Write a dead letter with every recorded attempt and this last one; returns its id.

    ``key`` is the item that the message was about, if any: it is owed no longer, and settled as ``dead``.
    A message that was buried before is left as it is.
    """
    filed_under = attempts.message_key(key) if key else message_id
    tries = _tries(conn, filed_under, error, worker, now)
    last = tries[-1]
    letter = {
        **{"message_id": message_id, "actor": actor, "queue": queue, "args": _json(list(args)), "cause": cause},
        **(key_of(key) if key else {"connection": None, "kind": None, "external_id": None}),
        **{"error_type": last["error_type"], "error": last["error"], "attempts": _json(tries)},
        **{"first_failed_at": tries[0]["at"], "died_at": now},
    }
    written = _INSERT.run(conn, letter)
    if not written:
        return int(conn.execute(select(_LETTERS.c.id).where(_LETTERS.c.message_id == message_id)).scalar_one())
    attempts.clear(conn, filed_under)
    if key:
        _SETTLE.run(conn, {**key_of(key), "now": now})
        owed.drop(conn, key)
    return int(written[0][0])


def _tries(
    conn: Connection, filed_under: str, error: BaseException, worker: str, now: datetime
) -> list[dict[str, Any]]:
    kept = ("number", "at", "worker", "error_type", "error", "traceback")
    tries = [{name: row[name] for name in kept} for row in attempts.of(conn, filed_under)]
    number = tries[-1]["number"] + 1 if tries else 1
    return [*tries, {"number": number, "at": now, "worker": worker, **attempts.described(error)}]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def list_(
    conn: Connection, *, state: str | None = "dead", limit: int = 50, before_id: int | None = None
) -> list[dict[str, Any]]:
    """The latest letters in a state (``None``: in any), newest first, with the number of ``tries`` for their texts.

    ``before_id`` continues after the last one of the page before.
    """
    shown = [column for column in _LETTERS.c if column.name != "attempts"]
    stored = _LETTERS.c.attempts if is_sqlite(conn) else cast(_LETTERS.c.attempts, JSON)
    query = select(*shown, func.json_array_length(stored).label("tries")).order_by(_LETTERS.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(_LETTERS.c.state == state)
    if before_id is not None:
        query = query.where(_LETTERS.c.id < before_id)
    return [_decoded(row) for row in conn.execute(query).mappings()]


def get(conn: Connection, id: int, *, lock: bool = False) -> dict[str, Any] | None:
    """One letter whole; ``attempts`` is a list of mappings whose ``at`` is ISO 8601 text.

    ``lock`` keeps others from changing it until this transaction ends, so that two people cannot both decide.
    """
    query = select(_LETTERS).where(_LETTERS.c.id == id)
    row = conn.execute(query.with_for_update() if lock else query).mappings().first()
    return None if row is None else _decoded(row)


def count(conn: Connection, *, state: str = "dead") -> int:
    """How many letters are in a state."""
    return int(conn.execute(select(func.count()).where(_LETTERS.c.state == state)).scalar_one())


def replay(conn: Connection, id: int, now: datetime) -> ItemKey | None:
    """Mark a letter as replayed and owe its item anew, due now and with no failures behind it.

    Returns the item, which needs a wake-up, or ``None`` for a letter without one: its ``actor`` and ``args`` are then
    to be enqueued by the caller. Raises ``LookupError`` when there is no such letter.
    """
    replayed = {"state": "replayed", "replays": _LETTERS.c.replays + 1, "replayed_at": now}
    letter = _change(conn, id, replayed)
    if letter["external_id"] is None:
        return None
    key = ItemKey(letter["connection"], Kind(letter["kind"]), letter["external_id"])
    owed.revive(conn, key, Cause.REPLAY, now)
    return key


def discard(conn: Connection, id: int) -> None:
    """Mark a letter as not worth replaying. Raises ``LookupError`` when there is no such letter."""
    _change(conn, id, {"state": "discarded"})


def _change(conn: Connection, id: int, values: dict[str, Any]) -> Any:
    changed = update(_LETTERS).where(_LETTERS.c.id == id).values(values).returning(_LETTERS)
    letter = conn.execute(changed).mappings().first()
    if letter is None:
        raise LookupError(f"there is no dead letter {id}")
    return letter


def _decoded(row: Any) -> dict[str, Any]:
    return {**row, **{name: msgspec.json.decode(row[name]) for name in ("args", "attempts") if name in row}}
