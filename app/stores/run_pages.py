"""The pages that an unfinished complete read has behind it, kept so that it can be resumed after a crash or a cancel."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection

from app.domain import RECORDS, Kind, Record
from app.stores.spool import row_type
from app.stores.statements import Statement

_PUT = Statement(
    """
    INSERT INTO run_pages (run_id, number, records) VALUES (:run_id, :number, :records)
    ON CONFLICT (run_id, number) DO UPDATE SET records = excluded.records
    """
)
_OF = Statement("SELECT records FROM run_pages WHERE run_id = :run_id AND number < :count ORDER BY number")
_DROP = Statement("DELETE FROM run_pages WHERE run_id = :run_id")
_pack = msgspec.msgpack.Encoder().encode


def put(conn: Connection, run_id: int, number: int, records: Sequence[Record]) -> None:
    """Keep the page of this number, counted from 0."""
    packed = zlib.compress(_pack([msgspec.structs.astuple(record) for record in records]), 1)
    _PUT.run(conn, {"run_id": run_id, "number": number, "records": packed})


def of(conn: Connection, run_id: int, kind: Kind, count: int) -> Iterator[list[Record]]:
    """The first ``count`` pages, in order."""
    make: Any = RECORDS[kind]
    for (packed,) in _OF.run(conn, {"run_id": run_id, "count": count}):
        yield [make(*fields) for fields in _decoder(kind).decode(zlib.decompress(packed))]


def drop(conn: Connection, run_id: int) -> None:
    """Forget them: the read is over."""
    _DROP.run(conn, {"run_id": run_id})


@lru_cache
def _decoder(kind: Kind) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(list[row_type(kind)])  # type: ignore[misc]
