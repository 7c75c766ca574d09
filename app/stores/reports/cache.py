"""Caches answers that take seconds to find."""

from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from app.stores.sql.columns import some_moment
from app.stores.sql.statements import Statement, json_text


class CachedAnswer(NamedTuple):
    """An answer, when it was found, and how many milliseconds that took."""

    answer: Any
    found_at: datetime
    took_ms: int


_GET = Statement(
    "SELECT answer, found_at, took_ms FROM answers WHERE connection = :connection AND question = :question"
)
_PUT = Statement(
    """
    INSERT INTO answers (connection, question, answer, found_at, took_ms)
    VALUES (:connection, :question, :answer, :found_at, :took_ms)
    ON CONFLICT (connection, question) DO UPDATE
    SET answer = excluded.answer, found_at = excluded.found_at, took_ms = excluded.took_ms
    WHERE answers.found_at <= excluded.found_at
    """
)


def get(conn: Connection, connection: str, question: str) -> CachedAnswer | None:
    """The last answer, however old."""
    rows = _GET.run(conn, {"connection": connection, "question": question})
    if not rows:
        return None
    answer, found_at, took_ms = rows[0]
    return CachedAnswer(msgspec.json.decode(answer), some_moment(found_at), took_ms)


def put(conn: Connection, connection: str, question: str, cached: CachedAnswer) -> None:
    """Cache a JSON-ready answer, unless a later one is there already."""
    answer = json_text(cached.answer)
    _PUT.run(conn, {**cached._asdict(), "connection": connection, "question": question, "answer": answer})
