"""What a complete read would change: compares it, page by page, with the rows we hold, and writes nothing."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from app.domain import Absent, Kind, Record, Scope, micros, row_hash
from app.stores import catalog_sql as sql
from app.stores.catalog import Key
from app.stores.engine import Database
from app.stores.spool import Spool

_JOINT = "\x1f"
_UNSEEN, _SAME, _CREATED, _CHANGED, _TOUCHED = range(5)


@dataclass
class Diff:
    """What a read says beside what we hold. ``read`` counts distinct keys, ``total_local`` live rows before.

    ``created`` records have no row here, ``changed`` ones differ from their row, ``touched`` ones have its content
    under a newer version. ``zeroed`` counts quantities that go from something to nothing, vanished rows of a scope
    where absent means zero included.
    """

    kind: Kind
    total_local: int
    read: int
    unchanged: int
    created: Spool
    changed: Spool
    touched: Spool
    vanished: list[Key]
    zeroed: int


class Differ:
    """Compares a complete read, page by page, with a connection's rows of one kind as they were when it was made.

    Holds a key, a hash and a version per row (about 150 bytes) and of the read only the records that differ, on
    disk when they are many.
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
        self._seen = bytearray(self._loaded)  # in which spool a row's record is, by position
        self._places = array("l", bytes(self._loaded * array("l").itemsize))
        self._spools = {name: Spool(kind) for name in (_CREATED, _CHANGED, _TOUCHED)}

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
                    self._see_again(at, key, record, digest)
                else:
                    self._see(at, key, record, digest)

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
        zeroed = len(vanished) if scope is not None and scope.absent is Absent.ZERO else 0
        return Diff(
            kind=self._kind,
            total_local=sum(1 for flag in self._flags[: self._loaded] if not flag & sql.DELETED_FLAG),
            read=len(self._seen) - self._seen.count(_UNSEEN),
            unchanged=self._seen.count(_SAME),
            created=self._spools[_CREATED],
            changed=self._spools[_CHANGED],
            touched=self._spools[_TOUCHED],
            vanished=vanished,
            zeroed=zeroed + self._going_to_zero(),
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
        self._places.append(self._spools[_CREATED].add(key, record, digest))

    def _see(self, at: int, key: str, record: Record, digest: int) -> None:
        ahead = record.version - self._versions[at]
        if digest == self._hashes[at]:
            worth_a_write = ahead > 0 and record.version < self._own_time
            self._put(at, key, _TOUCHED if worth_a_write else _SAME, record, digest)
        elif ahead > 0 or (ahead == 0 and not self._flags[at] & sql.NEWER_FLAG):
            self._put(at, key, _CHANGED, record, digest)
        else:
            self._seen[at] = _SAME  # our row is newer than this read

    def _see_again(self, at: int, key: str, record: Record, digest: int) -> None:
        """A key for the second time, as a page that shifted under the read shows it."""
        ahead = record.version - self._versions[at]
        spool = self._seen[at]
        if ahead < 0 or (ahead == 0 and digest == self._hashes[at]):
            return
        if spool == _SAME or (spool == _TOUCHED and digest != self._hashes[at]):
            self._see(at, key, record, digest)
            return
        self._spools[spool].replace(self._places[at], record, digest)
        self._hashes[at], self._versions[at] = digest, record.version

    def _put(self, at: int, key: str, spool: int, record: Record, digest: int) -> None:
        self._seen[at] = spool
        if spool != _SAME:
            self._places[at] = self._spools[spool].add(key, record, digest)
            self._hashes[at], self._versions[at] = digest, record.version
            self._flags[at] &= ~sql.NEWER_FLAG  # what counts from here on is this read's state, not the row's

    def _going_to_zero(self) -> int:
        if not self._shape.counts_quantity:
            return 0
        nothing_yet = sql.ZERO_FLAG | sql.DELETED_FLAG
        changed = zip(self._spools[_CHANGED].keys, self._spools[_CHANGED], strict=True)
        return sum(
            getattr(record, "quantity", None) == 0 and not self._flags[self._index[key]] & nothing_yet
            for key, record in changed
        )

    def _inside(self, scope: Scope) -> set[Key]:
        dialect = self._database.dialect
        statement = sql.live_keys(self._kind, scope.field, scope.absent, dialect, ties=False)
        horizon = sql.horizon(self._read_at)
        values = (self._connection, self._read_at, horizon, sql.bound_list(dialect, [str(scope.value)]))
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
