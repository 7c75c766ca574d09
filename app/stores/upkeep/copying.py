"""Copies a database into an empty one of either kind, and verifies that every row arrived unchanged."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Table, delete, func, insert, select
from sqlmodel import SQLModel

from app.errors import Conflict
from app.stores.history.feed import begin_again
from app.stores.history.rows import ROWS as HISTORY
from app.stores.sql.engine import Database

CHUNK = 5_000
"""Rows in memory at a time."""

_pack = msgspec.msgpack.Encoder(decimal_format="string").encode


class Copied(NamedTuple):
    """A copied table and its number of rows."""

    table: str
    rows: int


class _Content(NamedTuple):
    """The content of a table in any order: the number of rows, and the sum of their hashes."""

    rows: int
    sum: int


def copy(
    source: Database, target: Database, on_progress: Callable[[str, int], None] = lambda *_: None
) -> list[Copied]:
    """Copy every row of ``source`` into ``target``, in one transaction there; ``on_progress`` is called with the table and
    its rows so far.

    Both have the present schema. Raises ``Conflict``, and copies nothing, if the target has rows already or a table did not
    arrive unchanged.
    """
    with source.read() as there, target.begin() as here:
        filled = next((table.name for table in _tables() if here.execute(select(table).limit(1)).first()), None)
        if filled is not None:
            raise Conflict(f"the target is not empty: its table {filled} has rows; name an empty database")
        copied = [_copy_table(there, here, table, on_progress) for table in _tables()]
        begin_again(here)
        if target.dialect == "postgresql":
            _continue_ids(here)
    return copied


def _tables() -> Sequence[Table]:
    """All tables; history comes last, because triggers write it while the others are filled."""
    return sorted(SQLModel.metadata.sorted_tables, key=lambda table: table is HISTORY)


def _copy_table(there: Connection, here: Connection, table: Table, on_progress: Callable[[str, int], None]) -> Copied:
    given, arrived = _Content(0, 0), _Content(0, 0)
    if table is HISTORY:
        here.execute(delete(table))  # only triggers have written to it
    for rows in _chunks(there, table):
        here.execute(insert(table), [dict(zip(table.columns.keys(), row, strict=True)) for row in rows])
        given = _with(given, rows)
        on_progress(table.name, given.rows)
    for rows in _chunks(here, table):
        arrived = _with(arrived, rows)
    if given != arrived:
        raise Conflict(f"not every row of {table.name} arrived as it was ({given.rows} rows); nothing was copied")
    return Copied(table.name, given.rows)


def _chunks(conn: Connection, table: Table) -> Iterator[Sequence[Sequence[Any]]]:
    """All rows of a table, a chunk at a time."""
    options = {"stream_results": True, "max_row_buffer": CHUNK}
    with conn.execute(select(table), execution_options=options) as result:
        yield from result.partitions(CHUNK)


def _with(content: _Content, rows: Iterable[Sequence[Any]]) -> _Content:
    hashes = [_hash(row) for row in rows]
    return _Content(content.rows + len(hashes), (content.sum + sum(hashes)) % 2**64)


def _hash(row: Sequence[Any]) -> int:
    """The same for the same values on both databases, however many zeros an amount ends with."""
    values = [_plain(value) for value in row]
    return int.from_bytes(hashlib.blake2b(_pack(values), digest_size=8).digest())


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value.isoformat() if isinstance(value, datetime) else value


def _continue_ids(conn: Connection) -> None:
    """Have the next id of every table follow its last one."""
    for table in _tables():
        key = table.autoincrement_column
        if key is None:
            continue
        sequence = func.pg_get_serial_sequence(table.name, key.name)
        if conn.execute(select(sequence)).scalar_one_or_none():
            conn.execute(select(func.setval(sequence, func.coalesce(func.max(key), 0) + 1, False)))
