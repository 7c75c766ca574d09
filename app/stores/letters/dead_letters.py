"""Messages that will not be retried by themselves, written down with all that is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select, update
from sqlmodel import SQLModel

from app.domain import ItemKey
from app.rules.letters.fingerprint import fingerprint, place_of
from app.stores import owed, tables
from app.stores.letters import attempts
from app.stores.owed import Claim, message_key
from app.stores.sql.statements import Statement, key_of

_LETTERS = SQLModel.metadata.tables[str(tables.DeadLetter.__tablename__)]

MOST_ATTEMPTS = 100
"""Attempts that a letter keeps, the newest ones: it may be replayed and die again for years."""

_INSERT = Statement(
    """
    INSERT INTO dead_letters (message_id, actor, queue, args, connection, kind, external_id, cause, error_type, error,
                              fingerprint, place, attempts, first_failed_at, died_at, state, replays)
    VALUES (:message_id, :actor, :queue, :args, :connection, :kind, :external_id, :cause, :error_type, :error,
            :fingerprint, :place, :attempts, :first_failed_at, :died_at, 'dead', 0)
    ON CONFLICT (message_id) DO NOTHING RETURNING id
    """
)
_ITEM = "connection = :connection AND kind = :kind AND external_id = :external_id"
_OPEN = Statement(
    f"""
    SELECT id, attempts FROM dead_letters l
    WHERE {_ITEM} AND (
        state = 'dead' AND fingerprint = :fingerprint
        OR state = 'replayed' AND NOT EXISTS (
            SELECT 1 FROM settlements s
            WHERE s.connection = l.connection AND s.kind = l.kind AND s.external_id = l.external_id
              AND s.settled_at >= l.replayed_at AND s.outcome <> 'dead'))
    ORDER BY coalesce(replayed_at, died_at) DESC, id DESC LIMIT 1
    """
)
_REOPEN = Statement(
    """
    UPDATE dead_letters
    SET state = 'dead', message_id = :message_id, actor = :actor, queue = :queue, args = :args, cause = :cause,
        error_type = :error_type, error = :error, fingerprint = :fingerprint, place = :place, attempts = :attempts,
        died_at = :died_at
    WHERE id = :id AND state IN ('dead', 'replayed')
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
    error: BaseException,
    worker: str,
    now: datetime,
    redact: attempts.Redact = str,
    claim: Claim | None = None,
) -> int | None:
    """Write a dead letter with every recorded attempt and this last one; returns its id.

    ``key`` is the item that the message was about, if any, and ``claim`` the lease under which it died: what that
    covered is settled as ``dead``, and what changed since stays owed. ``None``, and nothing is written, when the lease
    is somebody else's by now. Without a claim (the message died before it had one) the item is settled unless somebody
    works on it. If the item has a letter of the same fingerprint, or one was replayed and nothing good came of it since,
    that letter is dead again instead of a second one written. A message that was buried before is left as it is.
    """
    buried = _id_of(conn, message_id)
    if buried is not None:
        return buried
    if claim is not None and not owed.still_held(conn, [claim]):
        return None
    if key is not None and claim is None:
        claim = owed.take(conn, key, now)
    filed_under = message_key(key) if key else message_id
    tries = _tries(conn, filed_under, error, worker, now, redact)
    letter = {
        **{"message_id": message_id, "actor": actor, "queue": queue, "args": redact(_json(list(args)))},
        **(key_of(key) if key else {"connection": None, "kind": None, "external_id": None}),
        **{"cause": claim and claim.cause, "died_at": now, "first_failed_at": tries[0]["at"]},
        **_what_went_wrong(tries[-1], error, key and key.connection),
    }
    again = _OPEN.run(conn, {**key_of(key), "fingerprint": letter["fingerprint"]}) if key else []
    id = _reopened(conn, again[0], letter, tries) if again else None
    if id is None:
        written = _INSERT.run(conn, {**letter, "attempts": _json(tries[-MOST_ATTEMPTS:])})
        if not written:  # another process buried it in this very moment
            return _id_of(conn, message_id) or 0
        id = int(written[0][0])
    attempts.clear(conn, filed_under)
    if claim is not None:
        owed.settle(conn, [(claim, "dead")], now)
    return id


def _reopened(conn: Connection, replayed: Any, letter: dict[str, Any], tries: list[dict[str, Any]]) -> int | None:
    """The letter there is, dead again; ``None`` when somebody else was faster."""
    id, before = replayed
    kept = _appended(msgspec.json.decode(before), tries)
    return int(id) if _REOPEN.count(conn, {**letter, "id": id, "attempts": _json(kept)}) else None


def dead_again(conn: Connection, id: int) -> None:
    """A letter whose message could not be sent again waits for a person as before."""
    conn.execute(update(_LETTERS).where(_LETTERS.c.id == id, _LETTERS.c.state == "replayed").values(state="dead"))


def _id_of(conn: Connection, message_id: str) -> int | None:
    found = conn.execute(select(_LETTERS.c.id).where(_LETTERS.c.message_id == message_id)).scalar()
    return None if found is None else int(found)


def _what_went_wrong(last: dict[str, Any], error: BaseException, connection: str | None) -> dict[str, str]:
    told = {"error_type": last["error_type"], "error": last["error"], "place": place_of(error)}
    return {**told, "fingerprint": fingerprint(last["error_type"], last["error"], told["place"], connection)}


def _tries(
    conn: Connection, filed_under: str, error: BaseException, worker: str, now: datetime, redact: attempts.Redact
) -> list[dict[str, Any]]:
    kept = ("number", "at", "worker", "error_type", "error", "traceback", "exchange")
    tries = [{name: row[name] for name in kept} for row in attempts.of(conn, filed_under)]
    number = tries[-1]["number"] + 1 if tries else 1
    tries.append({"number": number, "at": now, "worker": worker, **attempts.described(error, redact)})
    return [{**one, "exchange": one["exchange"] and msgspec.json.decode(one["exchange"])} for one in tries]


def _appended(before: list[dict[str, Any]], tries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those before and these, numbered on, as many as are kept."""
    last = before[-1]["number"] if before else 0
    return [*before, *({**one, "number": last + place} for place, one in enumerate(tries, 1))][-MOST_ATTEMPTS:]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


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


def _decoded(row: Any) -> dict[str, Any]:
    names = ("args", "attempts", "original_args")
    return {**row, **{name: msgspec.json.decode(row[name]) for name in names if row[name] is not None}}
