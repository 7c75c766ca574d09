"""Keeps the differing records of a bulk read: the first ones in memory, the others in a temporary file."""

import os
import tempfile
import weakref
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import IO, Any, cast, overload

import msgspec

from app.domain import RECORDS, Kind, Record
from app.domain.decoding import prepare

IN_MEMORY = 20_000  # records; a price change of a whole shop is 280,000 of 2 kB each

_pack = msgspec.msgpack.Encoder().encode


class Spool(Sequence[Record]):
    """Records of one kind in the order they were added, each with its key text and its hash.

    The file has no name, and disappears with the spool or the process. Not thread-safe.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.keys: list[str] = []
        self.hashes = array("q")
        self._record = RECORDS[kind]
        self._unpack = _decoder(kind).decode
        self._near: list[Record] = []
        self._far: IO[bytes] | None = None
        self._offsets = array("q")  # of the far ones
        self._sizes = array("q")
        self._end = 0
        self._flushed = True

    def add(self, key: str, record: Record, digest: int) -> int:
        """Append a record; returns its place."""
        self.keys.append(key)
        self.hashes.append(digest)
        if len(self._near) < IN_MEMORY:
            self._near.append(record)
        else:
            offset, size = self._store(record)
            self._offsets.append(offset)
            self._sizes.append(size)
        return len(self.keys) - 1

    def replace(self, place: int, record: Record, digest: int) -> None:
        """Replace a record by a newer state of it."""
        self.hashes[place] = digest
        if place < IN_MEMORY:
            self._near[place] = record
        else:
            far = place - IN_MEMORY
            self._offsets[far], self._sizes[far] = self._store(record)

    def row(self, place: int) -> tuple[Any, ...]:
        """The fields of a record, in order: cheaper than the record itself."""
        if place < IN_MEMORY:
            return msgspec.structs.astuple(self._near[place])
        far = place - IN_MEMORY
        row: tuple[Any, ...] = self._unpack(os.pread(self._descriptor(), self._sizes[far], self._offsets[far]))
        return row

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        at = range(len(self))[place]
        record: Record = self._near[at] if at < IN_MEMORY else self._record(*self.row(at))
        return record

    def _store(self, record: Record) -> tuple[int, int]:
        if self._far is None:
            self._far = tempfile.TemporaryFile(buffering=1 << 20)  # noqa: SIM115 (closed with the spool)
            weakref.finalize(self, self._far.close)
        packed = _pack(msgspec.structs.astuple(record))
        self._far.write(packed)
        self._flushed = False
        offset, self._end = self._end, self._end + len(packed)
        return offset, len(packed)

    def _descriptor(self) -> int:
        far = cast(IO[bytes], self._far)  # there are places beyond the near ones only once it is open
        if not self._flushed:
            far.flush()
            self._flushed = True
        return far.fileno()


def row_type(kind: Kind) -> Any:
    """The tuple that a record of a kind is packed as: its fields, in order."""
    return tuple.__class_getitem__(tuple(field.type for field in msgspec.structs.fields(RECORDS[kind])))


@lru_cache
def _decoder(kind: Kind) -> msgspec.msgpack.Decoder[Any]:
    prepare(row_type(kind))
    return msgspec.msgpack.Decoder(row_type(kind))
