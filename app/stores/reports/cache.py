"""Remembers answers that take seconds to find, with the moment they were found."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple, cast

import msgspec
from sqlalchemy import Connection

from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement


class Remembered(NamedTuple):
    """An answer as it was found then; ``took_ms`` is what finding it cost."""

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


def get(conn: Connection, connection: str, question: str) -> Remembered | None:
    """The last answer, however old."""
    rows = _GET.run(conn, {"connection": connection, "question": question})
    if not rows:
        return None
    answer, found_at, took_ms = rows[0]
    return Remembered(msgspec.json.decode(answer), cast(datetime, moment_from(found_at)), took_ms)


def put(conn: Connection, connection: str, question: str, found: Remembered) -> None:
    """Remember a JSON-ready answer, unless a later one is there already."""
    answer = msgspec.json.encode(found.answer).decode()
    _PUT.run(conn, {**found._asdict(), "connection": connection, "question": question, "answer": answer})
