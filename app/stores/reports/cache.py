"""Caches answers that take seconds to find."""

from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from sqlalchemy import Connection

from app.domain.decoding import decode
from app.stores.sql.columns import some_moment
from app.stores.sql.statements import Statement, json_text

T = TypeVar("T")


class CachedAnswer(NamedTuple, Generic[T]):
    """An answer, when it was found, and how many milliseconds that took."""

    answer: T
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


def get(conn: Connection, connection: str, question: str, shape: type[T]) -> CachedAnswer[T] | None:
    """The last answer, of this type, however old."""
    rows = _GET.run(conn, {"connection": connection, "question": question})
    if not rows:
        return None
    answer, found_at, took_ms = rows[0]
    return CachedAnswer(decode(answer, shape), some_moment(found_at), took_ms)


def put(conn: Connection, connection: str, question: str, cached: CachedAnswer[T]) -> None:
    """Cache an answer that can be written as JSON, unless a later one is there already."""
    answer = json_text(cached.answer)
    _PUT.run(conn, {**cached._asdict(), "connection": connection, "question": question, "answer": answer})
