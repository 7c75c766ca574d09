"""Every failed try of a message with its traceback, kept until the message succeeds or is buried."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select
from sqlmodel import SQLModel

from app.stores import tables

Redact = Callable[[str], str]
"""Takes secrets out of a text."""

_ATTEMPTS = SQLModel.metadata.tables[str(tables.Attempt.__tablename__)]
_LONGEST_TRACE = 20_000  # characters; of a longer one the end is kept, where the error is
_LONGEST_ERROR = 4_000


def described(error: BaseException, redact: Redact = str) -> dict[str, Any]:
    """An exception as text: ``error_type``, ``error``, ``traceback``, and ``exchange`` (JSON text, or ``None``) if it
    carries one; fit for either database, and without what ``redact`` takes out."""
    exchange = getattr(error, "exchange", None)
    return {
        "error_type": type(error).__name__,
        "error": redact(_printable(str(error)))[:_LONGEST_ERROR],
        "traceback": redact(_printable("".join(traceback.format_exception(error))))[-_LONGEST_TRACE:],
        "exchange": None if exchange is None else msgspec.json.encode(_clean(exchange, redact)).decode(),
    }


def record(
    conn: Connection,
    message_key: str,
    *,
    number: int,
    at: datetime,
    worker: str,
    error: BaseException,
    redact: Redact = str,
) -> None:
    """File one failed try."""
    row = {"message_key": message_key, "number": number, "at": at, "worker": worker, **described(error, redact)}
    conn.execute(insert(_ATTEMPTS), row)


def of(conn: Connection, message_key: str) -> list[dict[str, Any]]:
    """The failed tries of a message, oldest first."""
    query = select(_ATTEMPTS).where(_ATTEMPTS.c.message_key == message_key).order_by(_ATTEMPTS.c.id)
    return [dict(row) for row in conn.execute(query).mappings()]


def clear(conn: Connection, message_key: str) -> None:
    """Forget the tries of a message."""
    conn.execute(delete(_ATTEMPTS).where(_ATTEMPTS.c.message_key == message_key))


def _clean(value: Any, redact: Redact) -> Any:
    if isinstance(value, str):
        return redact(_printable(value))
    return {name: _clean(part, redact) for name, part in value.items()} if isinstance(value, dict) else value


def _printable(text: str) -> str:
    """Text without what one of the databases refuses to store: lone surrogates and NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
