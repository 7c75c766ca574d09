"""Every failed attempt at a message with its traceback, kept until the message succeeds or becomes a dead letter."""

import traceback
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, insert, select

from app.domain.decoding import convert
from app.stores import tables
from app.stores.letters.rows import Attempt, Exchange
from app.stores.sql.statements import json_text

Redact = Callable[[str], str]
"""Takes secrets out of a text."""

_ATTEMPTS = tables.core(tables.Attempt)
_EXCHANGE = msgspec.json.Decoder(Exchange | None)
_COLUMNS = [_ATTEMPTS.c[name] for name in Attempt.__struct_fields__]
_MAX_TRACEBACK = 20_000  # characters; a longer one keeps its end, where the error is
_MAX_ERROR = 4_000


class Failure(NamedTuple):
    """An exception in words that either database can store."""

    error_type: str
    error: str
    traceback: str
    exchange: Exchange | None


def described(error: BaseException, redact: Redact = str) -> Failure:
    """The exception, and the HTTP exchange that it carries, without the secrets that ``redact`` takes out."""
    exchange = getattr(error, "exchange", None)
    return Failure(
        type(error).__name__,
        redact(_printable(str(error)))[:_MAX_ERROR],
        redact(_printable("".join(traceback.format_exception(error))))[-_MAX_TRACEBACK:],
        None if exchange is None else convert(_clean(msgspec.to_builtins(exchange), redact), Exchange),
    )


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
    """Store one failed attempt."""
    failure = described(error, redact)
    exchange = None if failure.exchange is None else json_text(failure.exchange)
    values = {"message_key": message_key, "number": number, "at": at, "worker": worker}
    conn.execute(insert(_ATTEMPTS), {**values, **failure._asdict(), "exchange": exchange})


def of(conn: Connection, message_key: str) -> list[Attempt]:
    """The failed attempts at a message, oldest first."""
    query = select(*_COLUMNS).where(_ATTEMPTS.c.message_key == message_key).order_by(_ATTEMPTS.c.id)
    rows = conn.execute(query).mappings()
    return [Attempt(**{**row, "exchange": _EXCHANGE.decode(row["exchange"] or "null")}) for row in rows]


def clear(conn: Connection, message_key: str) -> None:
    """Delete the attempts at a message."""
    conn.execute(delete(_ATTEMPTS).where(_ATTEMPTS.c.message_key == message_key))


def _clean(value: Any, redact: Redact) -> Any:
    if isinstance(value, str):
        return redact(_printable(value))
    return {name: _clean(part, redact) for name, part in value.items()} if isinstance(value, dict) else value


def _printable(text: str) -> str:
    """The text without lone surrogates and NUL, which one of the databases refuses."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
