"""The stored pages of an unfinished read, so that it can be resumed after a crash or a cancel."""

import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection

from app.domain import RECORDS, BadRecord, Kind, Page, Record
from app.domain.decoding import prepare
from app.stores import tables
from app.stores.catalog.spool import row_type
from app.stores.sql.statements import Statement, json_text, upsert

_PUT = upsert(tables.core(tables.RunPage))
_OF = Statement("SELECT records, failed FROM run_pages WHERE run_id = :run_id AND number < :count ORDER BY number")
_ANY = Statement(
    """
    SELECT 1 FROM runs r WHERE r.connection = :connection AND EXISTS (SELECT 1 FROM run_pages p WHERE p.run_id = r.id)
    LIMIT 1
    """
)
_DROP = Statement("DELETE FROM run_pages WHERE run_id = :run_id")
_pack = msgspec.msgpack.Encoder().encode
_failed = msgspec.json.Decoder(list[BadRecord])


def put(
    conn: Connection, run_id: int, number: int, records: Sequence[Record], failed: Sequence[BadRecord] = ()
) -> bool:
    """Store a page by its number, from 0: its records, and those that could not be read. ``False`` when a record has a value
    that cannot be stored."""
    try:
        packed = zlib.compress(_pack([msgspec.structs.astuple(record) for record in records]), 1)
        unread = json_text(failed)
    except (OverflowError, UnicodeError, TypeError):
        return False
    _PUT.run(conn, {"run_id": run_id, "number": number, "records": packed, "failed": unread})
    return True


def of(conn: Connection, run_id: int, kind: Kind, count: int) -> Iterator[Page]:
    """The first ``count`` pages, in order."""
    make: Any = RECORDS[kind]
    for packed, unread in _OF.run(conn, {"run_id": run_id, "count": count}):
        records = [make(*fields) for fields in _decoder(kind).decode(zlib.decompress(packed))]
        yield Page(records=records, failed=_failed.decode(unread))


def any_kept(conn: Connection, connection: str) -> bool:
    """Whether an unfinished read of this connection has stored pages."""
    return bool(_ANY.run(conn, {"connection": connection}))


def drop(conn: Connection, run_id: int) -> None:
    """Delete the pages of a run, because its read is over."""
    _DROP.run(conn, {"run_id": run_id})


@lru_cache
def _decoder(kind: Kind) -> msgspec.msgpack.Decoder[Any]:
    prepare(row_type(kind))
    return msgspec.msgpack.Decoder(list[row_type(kind)])  # type: ignore[misc]
