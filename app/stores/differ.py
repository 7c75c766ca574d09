"""What a complete read would change: compares it, page by page, with the rows we hold, and writes nothing."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

from app.domain import Absent, Kind, Record, Scope, micros, row_hash
from app.stores import catalog_sql as sql
from app.stores.catalog import Key
from app.stores.engine import Database

_JOINT = "\x1f"
_UNSEEN, _SAME, _CREATED, _CHANGED, _TOUCHED = range(5)


class Batch:
    """Records beside their hashes, so that what was compared need not be hashed again to be written."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.hashes = array("q")

    def add(self, record: Record, digest: int) -> int:
        """Append; returns the place."""
        self.records.append(record)
        self.hashes.append(digest)
        return len(self.records) - 1

    def replace(self, place: int, record: Record, digest: int) -> None:
        """A newer state of the record in this place."""
        self.records[place] = record
        self.hashes[place] = digest


@dataclass
class Diff:
    """What a read says beside what we hold. ``read`` counts distinct keys, ``total_local`` live rows before.

    ``touched`` have the same content under a newer version. ``zeroed`` counts quantities that go from something to
    nothing, vanished rows of a scope where absent means zero included.
    """

    kind: Kind
    total_local: int
    read: int
    unchanged: int
    vanished: list[Key]
    zeroed: int
    batches: dict[str, Batch] = field(repr=False)

    @property
    def created(self) -> list[Record]:
        """Records we hold no row for."""
        return self.batches["created"].records

    @property
    def changed(self) -> list[Record]:
        """Records whose content differs from our row."""
        return self.batches["changed"].records

    @property
    def touched(self) -> list[Record]:
        """Records with our content and a newer version."""
        return self.batches["touched"].records


class Differ:
    """Compares a complete read, page by page, with a connection's rows of one kind as they were when it was made.

    Holds a key, a hash and a version per row (about 150 bytes) and of the read only the records that differ.
    ``read_at`` is when the read began. A version that is no older than ``read_at`` is not a source's clock but the
    read's own time: under it, equal content is simply unchanged, or every read would rewrite every row.
    """

    def __init__(self, database: Database, connection: str, kind: Kind, read_at: datetime) -> None:
        self._database = database
        self._connection = connection
        self._kind = kind
        self._read_at = read_at
        self._own_time = micros(read_at)
        self._shape = sql.shape(kind)
        self._index: dict[str, int] = {}
        self._hashes = array("q")
        self._versions = array("q")
        self._flags = bytearray()
        with collector_paused():
            self._load()
        self._loaded = len(self._flags)
        self._seen = bytearray(self._loaded)  # in which batch a row is, by position
        self._places = array("l", bytes(self._loaded * array("l").itemsize))
        self._batches = {_CREATED: Batch(), _CHANGED: Batch(), _TOUCHED: Batch()}

    def feed(self, records: Sequence[Record]) -> None:
        """Compare records of this kind; a key may be shown again, its newest state counts."""
        with collector_paused():
            text_of = key_text(self._shape.keys)
            index, seen = self._index, self._seen
            for record in records:
                digest = row_hash(record)
                key = text_of(record)
                at = index.get(key)
                if at is None:
                    self._create(key, record, digest)
                elif seen[at]:
                    self._see_again(at, record, digest)
                else:
                    self._see(at, record, digest)

    def vanished(self, scope: Scope) -> list[Key]:
        """Keys of live rows inside the scope, read before this read, that it did not show.

        Where absent means zero, rows that are zero already are no news.
        """
        settled = sql.DELETED_FLAG | sql.NEWER_FLAG | sql.SAME_TIME_FLAG
        if scope.absent is Absent.ZERO:
            settled |= sql.ZERO_FLAG
        flags, seen = self._flags, self._seen
        missing = [key for key, at in self._index.items() if not seen[at] and not flags[at] & settled]
        keys = sorted(_split(key, self._shape.keys) for key in missing)
        if scope.field is None or not keys:
            return keys
        inside = self._inside(scope)
        return [key for key in keys if key in inside]

    def diff(self, scope: Scope | None = None) -> Diff:
        """The whole comparison; ``scope`` is what the read was complete for, ``None`` if it was not complete."""
        vanished = [] if scope is None else self.vanished(scope)
        created, changed, touched = (self._batches[name] for name in (_CREATED, _CHANGED, _TOUCHED))
        zeroed = len(vanished) if scope is not None and scope.absent is Absent.ZERO else 0
        return Diff(
            kind=self._kind,
            total_local=sum(1 for flag in self._flags[: self._loaded] if not flag & sql.DELETED_FLAG),
            read=len(self._seen) - self._seen.count(_UNSEEN),
            unchanged=self._seen.count(_SAME),
            vanished=vanished,
            zeroed=zeroed + sum(map(self._goes_to_zero, changed.records)),
            batches={"created": created, "changed": changed, "touched": touched},
        )

    def _load(self) -> None:
        for rows in _states(self._database, self._connection, self._kind, self._read_at):
            keys, hashes, versions, flags = zip(*rows, strict=True)
            first = len(self._hashes)
            self._index.update(zip(keys, range(first, first + len(keys)), strict=True))
            self._hashes.extend(hashes)
            self._versions.extend(versions)
            self._flags.extend(flags)

    def _create(self, key: str, record: Record, digest: int) -> None:
        self._index[key] = len(self._seen)
        self._hashes.append(digest)
        self._versions.append(record.version)
        self._flags.append(0)
        self._seen.append(_CREATED)
        self._places.append(self._batches[_CREATED].add(record, digest))

    def _see(self, at: int, record: Record, digest: int) -> None:
        ahead = record.version - self._versions[at]
        if digest == self._hashes[at]:
            worth_a_write = ahead > 0 and record.version < self._own_time
            self._put(at, _TOUCHED if worth_a_write else _SAME, record, digest)
        elif ahead > 0 or (ahead == 0 and not self._flags[at] & sql.NEWER_FLAG):
            self._put(at, _CHANGED, record, digest)
        else:
            self._seen[at] = _SAME  # our row is newer than this read

    def _see_again(self, at: int, record: Record, digest: int) -> None:
        """A key for the second time, as a page that shifted under the read shows it."""
        ahead = record.version - self._versions[at]
        batch = self._seen[at]
        if ahead < 0 or (ahead == 0 and digest == self._hashes[at]):
            return
        if batch == _SAME or (batch == _TOUCHED and digest != self._hashes[at]):
            self._see(at, record, digest)
            return
        self._batches[batch].replace(self._places[at], record, digest)
        self._hashes[at], self._versions[at] = digest, record.version

    def _put(self, at: int, batch: int, record: Record, digest: int) -> None:
        self._seen[at] = batch
        if batch != _SAME:
            self._places[at] = self._batches[batch].add(record, digest)
            self._hashes[at], self._versions[at] = digest, record.version
            self._flags[at] &= ~sql.NEWER_FLAG  # what counts from here on is this read's state, not the row's

    def _goes_to_zero(self, record: Record) -> bool:
        if getattr(record, "quantity", None) != 0:
            return False
        flags = self._flags[self._index[key_text(self._shape.keys)(record)]]
        return not flags & (sql.ZERO_FLAG | sql.DELETED_FLAG)

    def _inside(self, scope: Scope) -> set[Key]:
        dialect = self._database.dialect
        statement = sql.live_keys(self._kind, scope.field, scope.absent, dialect, ties=False)
        values = (self._connection, self._read_at, sql.bound_list(dialect, [str(scope.value)]))
        with self._database.read() as conn:
            cursor = sql.driver(conn).cursor()
            cursor.execute(statement, values)
            return set(cursor.fetchall())


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection meanwhile: walking a million fresh objects again and again takes longer than the work."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _states(database: Database, connection: str, kind: Kind, read_at: datetime) -> Iterator[list[tuple[Any, ...]]]:
    """Row states in lists of some thousand, never all at once."""
    with database.read() as conn:
        driver = sql.driver(conn)
        on_server = database.dialect == "postgresql"
        cursor = driver.cursor(name="row_states", binary=True) if on_server else driver.cursor()
        cursor.execute(sql.row_states(kind, database.dialect), (read_at, read_at, connection))
        while rows := cursor.fetchmany(20_000):
            yield rows
        cursor.close()


def key_text(names: Sequence[str]) -> Callable[[Any], str]:
    """A record's key as one text: a fifth of the memory of a tuple of texts."""
    fields: Callable[[Any], Any] = attrgetter(*names)
    return fields if len(names) == 1 else lambda record: _JOINT.join(fields(record))


def _split(key: str, names: Sequence[str]) -> Key:
    parts = tuple(key.split(_JOINT)) if len(names) > 1 else (key,)
    if len(parts) != len(names):
        raise ValueError(f"the key {key!r} has a separator character in one of its parts")
    return parts
