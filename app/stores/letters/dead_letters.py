"""Messages that will not be retried by themselves, stored with everything that is known of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, func, select, update

from app.domain import ItemKey
from app.domain.decoding import decode
from app.rules.letters.fingerprint import fingerprint, place_of
from app.stores import owed, tables
from app.stores.letters import attempts
from app.stores.letters.letter_search import Conditions
from app.stores.letters.rows import Attempt, Letter
from app.stores.owed import Claim, message_key
from app.stores.sql.statements import Statement, json_text, key_of

_LETTERS = tables.core(tables.DeadLetter)
_COLUMNS = [_LETTERS.c[name] for name in Letter.__struct_fields__]

MAX_ATTEMPTS = 100
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


class DyingMessage(NamedTuple):
    """A message that will not be retried by itself.

    ``key`` is the item that it was about, if any; ``connection`` is that of a message without item. ``claim`` is the lease
    under which it died, ``None`` if it died before it had one.
    """

    message_id: str
    actor: str
    queue: str
    args: Sequence[Any]
    key: ItemKey | None = None
    connection: str | None = None
    claim: Claim | None = None

    @property
    def attempts_key(self) -> str:
        """The key of its failed attempts."""
        return message_key(self.key) if self.key else self.message_id


def record(
    conn: Connection,
    message: DyingMessage,
    error: BaseException,
    *,
    worker: str,
    now: datetime,
    redact: attempts.Redact = str,
) -> int | None:
    """Write a dead letter with every recorded attempt and this last one; returns its id.

    The changes that the claim covers are settled as ``dead``; later changes stay owed. If somebody else holds the lease by
    now, nothing is written and ``None`` is returned. Without a claim the item is settled unless somebody works on it. If
    the item has a dead letter of the same fingerprint, or a replayed one without a good outcome since, that letter becomes
    dead again instead of a second one being written. A message that has a letter already is left as it is.
    """
    known = _id_of(conn, message.message_id)
    if known is not None:
        return known
    if message.claim is not None and not owed.still_held(conn, [message.claim]):
        return None
    if message.key is not None and message.claim is None:
        message = message._replace(claim=owed.take(conn, message.key, now))
    tries = _tries(conn, message.attempts_key, error, worker, now, redact)
    columns = _columns(message, tries, place_of(error), now, redact)
    id = _reopened(conn, message.key, columns, tries) or _inserted(conn, columns, tries)
    if id is None:  # another process has just buried this message
        return _id_of(conn, message.message_id) or 0
    attempts.clear(conn, message.attempts_key)
    if message.claim is not None:
        owed.settle(conn, [(message.claim, "dead")], now)
    return id


def _id_of(conn: Connection, message_id: str) -> int | None:
    return conn.execute(select(_LETTERS.c.id).where(_LETTERS.c.message_id == message_id)).scalar()


def _tries(
    conn: Connection, attempts_key: str, error: BaseException, worker: str, now: datetime, redact: attempts.Redact
) -> list[Attempt]:
    """The recorded attempts and this last one."""
    tries = attempts.of(conn, attempts_key)
    number = tries[-1].number + 1 if tries else 1
    return [*tries, Attempt(number, now, worker, *attempts.described(error, redact))]


def _columns(
    message: DyingMessage, tries: Sequence[Attempt], place: str, now: datetime, redact: attempts.Redact
) -> dict[str, Any]:
    """The columns of a letter that are written anew whenever its message dies, except for its attempts."""
    key, last = message.key, tries[-1]
    about = key_of(key) if key else {"connection": message.connection, "kind": None, "external_id": None}
    return {
        "message_id": message.message_id,
        "actor": message.actor,
        "queue": message.queue,
        "args": redact(json_text(list(message.args))),
        **about,
        "cause": message.claim.cause if message.claim else None,
        "error_type": last.error_type,
        "error": last.error,
        "fingerprint": fingerprint(last.error_type, last.error, place, about["connection"]),
        "place": place,
        "first_failed_at": tries[0].at,
        "died_at": now,
    }


def _reopened(
    conn: Connection, key: ItemKey | None, columns: Mapping[str, Any], tries: Sequence[Attempt]
) -> int | None:
    """The id of the letter that is dead again; ``None`` if there is none, or somebody else changed it first."""
    rows = _OPEN.run(conn, {**key_of(key), "fingerprint": columns["fingerprint"]}) if key else []
    if not rows:
        return None
    id, stored = rows[0]
    kept = _appended(decode(stored, list[Attempt]), tries)
    return int(id) if _REOPEN.count(conn, {**columns, "id": id, "attempts": json_text(kept)}) else None


def _inserted(conn: Connection, columns: Mapping[str, Any], tries: Sequence[Attempt]) -> int | None:
    rows = _INSERT.run(conn, {**columns, "attempts": json_text(tries[-MAX_ATTEMPTS:])})
    return int(rows[0][0]) if rows else None


def _appended(before: Sequence[Attempt], tries: Sequence[Attempt]) -> list[Attempt]:
    """Earlier attempts and new ones, numbered on; the newest ``MAX_ATTEMPTS``."""
    last = before[-1].number if before else 0
    numbered = (msgspec.structs.replace(one, number=number) for number, one in enumerate(tries, last + 1))
    return [*before, *numbered][-MAX_ATTEMPTS:]


def dead_again(conn: Connection, id: int) -> None:
    """Undo the marking of a letter as replayed, because its message could not be sent."""
    conn.execute(update(_LETTERS).where(_LETTERS.c.id == id, _LETTERS.c.state == "replayed").values(state="dead"))


def get(conn: Connection, id: int, *, lock: bool = False) -> Letter | None:
    """One letter; ``lock`` keeps others from changing it until this transaction ends, so that two people cannot both
    decide about it."""
    query = select(*_COLUMNS).where(_LETTERS.c.id == id)
    row = conn.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        return None
    original = row["original_args"]
    decoded = {
        "args": msgspec.json.decode(row["args"]),
        "original_args": None if original is None else msgspec.json.decode(original),
        "attempts": decode(row["attempts"], list[Attempt]),
    }
    return Letter(**{**row, **decoded})


def count(conn: Connection, *, state: str = "dead") -> int:
    """How many letters are in a state."""
    return int(conn.execute(select(func.count()).where(_LETTERS.c.state == state)).scalar_one())


# --- what people do to letters, other than replaying them ---


def discard(conn: Connection, where: Conditions, principal: str, why: str, now: datetime) -> int:
    """Discard the dead letters that match; returns how many."""
    values = {"state": "discarded", "discarded_at": now, "discarded_by": principal, "discard_reason": why}
    return int(conn.execute(update(_LETTERS).where(*where, _LETTERS.c.state == "dead").values(values)).rowcount)


def restore(conn: Connection, id: int, since: datetime) -> bool:
    """Make a letter that was discarded after ``since`` dead again; ``False`` if it was not discarded after that."""
    values = {"state": "dead", "discarded_at": None, "discarded_by": None, "discard_reason": None}
    conditions = (_LETTERS.c.id == id, _LETTERS.c.state == "discarded", _LETTERS.c.discarded_at > since)
    return bool(conn.execute(update(_LETTERS).where(*conditions).values(values)).rowcount)


def edit(
    conn: Connection, id: int, args: Sequence[Any], key: ItemKey | None, connection: str | None, fingerprint: str
) -> bool:
    """Give a dead letter other arguments, the item and the connection that they name and its fingerprint; the original
    arguments are kept. ``False`` if it is not dead."""
    names = ("kind", "external_id")
    values = {
        "args": json_text(list(args)),
        "original_args": func.coalesce(_LETTERS.c.original_args, _LETTERS.c.args),
        "fingerprint": fingerprint,
        "connection": connection,
        **dict(zip(names, key[1:] if key else (None, None), strict=True)),
    }
    conditions = (_LETTERS.c.id == id, _LETTERS.c.state == "dead")
    return bool(conn.execute(update(_LETTERS).where(*conditions).values(values)).rowcount)
