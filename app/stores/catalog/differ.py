"""Compares a complete read, page by page, with our rows; writes nothing."""

from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec

from app.domain import Kind, MissingPolicy, Record, Scope, check_storable, micros, row_hash
from app.domain.collector import collector_paused
from app.rules.versions import settled_version
from app.stores.catalog import Key, row_ids
from app.stores.catalog import catalog_sql as sql
from app.stores.catalog.diff import Diff, Misfit
from app.stores.catalog.newer import LOCALLY_EDITED
from app.stores.catalog.spool import Spool
from app.stores.catalog.stream import streamed
from app.stores.sql.engine import Database
from app.stores.sql.statements import bound_list

JOINT = "\x1f"
_UNSEEN, _SAME, _CREATED, _CHANGED, _TOUCHED, _PASSED = range(6)
_EMPTY = sql.ZERO_FLAG | sql.DELETED_FLAG
_NO_CLOCK = datetime(9990, 1, 1, tzinfo=UTC)


class Differ:
    """Compares a read with a connection's rows of one kind, as they were when this object was made.

    Holds a key, a hash and a version per row (about 150 bytes), and only those records of the read that differ, on disk
    if they are many. ``read_at`` is when the read began. A version no older than that is the read's own time and not the
    source's: with it, equal content counts as unchanged, or every read would rewrite every row. Rows and records dated
    later than ``now`` come from a wrong clock (``rules.versions``). ``edited`` rows are compared as if they were marked
    as edited by hand.
    """

    def __init__(
        self,
        database: Database,
        connection: str,
        kind: Kind,
        read_at: datetime,
        now: datetime | None = None,
        edited: Iterable[Key] = (),
    ) -> None:
        self._database = database
        self._connection = connection
        self._kind = kind
        self._read_at = read_at
        self._own_time = micros(read_at)
        self._now = now or _NO_CLOCK
        self._now_micros = micros(self._now)
        self._shape = sql.shape(kind)
        self._index: dict[str, int] = {}
        self._hashes = array("q")
        self._versions = array("q")
        self._flags = bytearray()
        with collector_paused():
            self._load()
        self._mark(edited)
        self._loaded = len(self._flags)
        self._seen = bytearray(self._loaded)  # in which spool a row's record is, by position
        self._places = array("l", bytes(self._loaded * array("l").itemsize))
        self._spools = {name: Spool(kind) for name in (_CREATED, _CHANGED, _TOUCHED)}
        self._passed: dict[str, Record] = {}
        self._gone: set[str] = set()

    def _mark(self, edited: Iterable[Key]) -> None:
        for key in edited:
            if (at := self._index.get(JOINT.join(key))) is not None:
                self._hashes[at] = LOCALLY_EDITED

    def feed(self, records: Sequence[Record], now: datetime | None = None) -> list[Misfit]:
        """Compare records of this kind; if a key is shown again, its newest state counts.

        ``now`` is the time of comparing: a read may last hours, and what is edited meanwhile is not dated in the future.
        Returns the records that could not be compared.
        """
        if now is not None:
            self._now_micros = micros(now)
        try:
            self._feed(records)
        except Exception as error:
            if len(records) == 1:
                return [Misfit(records[0], error)]
            return [misfit for record in records for misfit in self.feed([record])]
        return []

    def _feed(self, records: Sequence[Record]) -> None:
        with collector_paused():
            text_of = key_text(self._shape.keys)
            index, seen, now = self._index, self._seen, self._now_micros
            for record in records:
                check_storable(record)
                digest = row_hash(record)
                key = text_of(record)
                if record.version > now:
                    version = settled_version(record.version, now, self._own_time)
                    record = msgspec.structs.replace(record, version=version)
                at = index.get(key)
                if at is None:
                    self._create(key, record, digest)
                elif seen[at]:
                    self._see_again(at, key, record, digest)
                else:
                    self._compare(at, key, record, digest)

    def diff(self, scope: Scope | None = None, exempt: Collection[str] = ()) -> Diff:
        """The result; ``scope`` is what the read was complete for, if it was. If absence means zero, rows that are zero
        already have not vanished. ``exempt`` are external ids of items that the read showed unreadably."""
        vanished, unshown = ([], []) if scope is None else self._not_shown(scope, exempt)
        zeros = [seen for flag, seen in zip(self._flags, self._seen, strict=True) if flag & _EMPTY == sql.ZERO_FLAG]
        zeroed = len(vanished) if scope is not None and scope.absent is MissingPolicy.ZERO else 0
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
            passed=list(self._passed.values()),
            unshown=unshown,
            gone=len(self._gone),
            zeros=len(zeros),
            zeros_shown=len(zeros) - zeros.count(_UNSEEN),
        )

    def _not_shown(self, scope: Scope, exempt: Collection[str]) -> tuple[list[Key], list[Key]]:
        """The live rows of the scope that the read did not show: those read before it, those read since it began."""
        settled, later = sql.DELETED_FLAG, sql.NEWER_FLAG | sql.SAME_TIME_FLAG
        if scope.absent is MissingPolicy.ZERO:
            settled |= sql.ZERO_FLAG
        flags, seen, names = self._flags, self._seen, self._shape.keys
        missing = [(key, at) for key, at in self._index.items() if not seen[at] and not flags[at] & settled]
        with self._database.read() as conn:
            spared = row_ids(conn, self._connection, self._kind, exempt)
        keys = [(_split(key, names), bool(flags[at] & later)) for key, at in missing]
        keys = [one for one in keys if one[0][0] not in spared]
        if scope.field is not None and keys:
            inside = self._inside(scope)
            keys = [one for one in keys if one[0] in inside]
        return sorted(key for key, is_later in keys if not is_later), sorted(
            key for key, is_later in keys if is_later
        )

    def _load(self) -> None:
        wanted = sql.row_states(self._kind, self._database.dialect)
        values = sql.row_states_values(self._connection, self._read_at, self._now)
        for rows in streamed(self._database, wanted, values):
            keys, hashes, versions, flags = zip(*rows, strict=True)
            first = len(self._hashes)
            self._index.update(zip(keys, range(first, first + len(keys)), strict=True))
            self._hashes.extend(hashes)
            self._versions.extend(versions)
            self._flags.extend(flags)

    def _create(self, key: str, record: Record, digest: int) -> None:
        place = self._spools[_CREATED].add(key, record, digest)
        self._index[key] = len(self._seen)
        self._hashes.append(digest)
        self._versions.append(record.version)
        self._flags.append(0)
        self._seen.append(_CREATED)
        self._places.append(place)
        self._note_gone(key, record)

    def _compare(self, at: int, key: str, record: Record, digest: int) -> None:
        ahead = record.version - self._versions[at]
        flags = self._flags[at]
        if digest == self._hashes[at]:
            worth_a_write = ahead > 0 and record.version < self._own_time
            self._put(at, key, _TOUCHED if worth_a_write else _SAME, record, digest)
        elif self._is_newer(at, ahead):
            self._put(at, key, _CHANGED, record, digest)
        elif record.deleted and flags & sql.DELETED_FLAG:
            self._seen[at] = _SAME
        else:
            self._seen[at] = _PASSED
            self._passed[key] = record
        self._note_gone(key, record)

    def _is_newer(self, at: int, ahead: int) -> bool:
        """Whether a record replaces our row. Our own tombstone (its hash is 0) and a row that somebody else edited are
        replaced by every read that began no earlier, whatever its version, and by no other. So is a row whose only
        version is the time of its read."""
        read_later = bool(self._flags[at] & sql.NEWER_FLAG)
        is_our_tombstone = self._flags[at] & sql.DELETED_FLAG and self._hashes[at] == 0
        if is_our_tombstone or self._hashes[at] == LOCALLY_EDITED:
            return not read_later
        return ahead > 0 or (not read_later and (ahead == 0 or bool(self._flags[at] & sql.OWN_TIME_FLAG)))

    def _see_again(self, at: int, key: str, record: Record, digest: int) -> None:
        """Compare a key that was shown before: pages can shift during a read."""
        ahead = record.version - self._versions[at]
        spool = self._seen[at]
        if spool == _PASSED:
            if record.version >= self._passed[key].version:
                del self._passed[key]
                self._compare(at, key, record, digest)
            return
        if ahead < 0 or (ahead == 0 and digest == self._hashes[at]):
            return
        if spool == _SAME or (spool == _TOUCHED and digest != self._hashes[at]):
            self._compare(at, key, record, digest)
            return
        self._spools[spool].replace(self._places[at], record, digest)
        self._hashes[at], self._versions[at] = digest, record.version
        self._note_gone(key, record)

    def _note_gone(self, key: str, record: Record) -> None:
        if record.deleted:
            self._gone.add(key)
        elif self._gone:
            self._gone.discard(key)

    def _put(self, at: int, key: str, spool: int, record: Record, digest: int) -> None:
        if spool != _SAME:
            self._places[at] = self._spools[spool].add(key, record, digest)
            self._hashes[at], self._versions[at] = digest, record.version
            self._flags[at] &= ~(sql.NEWER_FLAG | sql.OWN_TIME_FLAG)  # from here on the read's state counts
        self._seen[at] = spool

    def _going_to_zero(self) -> int:
        if not self._shape.counts_quantity:
            return 0
        changed = zip(self._spools[_CHANGED].keys, self._spools[_CHANGED], strict=True)
        return sum(
            getattr(record, "quantity", None) == 0 and not self._flags[self._index[key]] & _EMPTY
            for key, record in changed
        )

    def _inside(self, scope: Scope) -> set[Key]:
        statement = sql.live_keys(self._kind, scope.field, scope.absent, ties=False)
        # Read at any time: the flags tell which of them were read later.
        bound = {"connection": self._connection, "began": _NO_CLOCK, "horizon": _NO_CLOCK}
        with self._database.read() as conn:
            return set(statement.run(conn, {**bound, "values": bound_list(conn, [str(scope.value)])}))


def key_text(names: Sequence[str]) -> Callable[[Any], str]:
    """Returns a record's key as one text, which takes a fifth of the memory of a tuple."""
    fields: Callable[[Any], Any] = attrgetter(*names)
    return fields if len(names) == 1 else lambda record: JOINT.join(fields(record))


def _split(key: str, names: Sequence[str]) -> Key:
    parts = tuple(key.split(JOINT)) if len(names) > 1 else (key,)
    if len(parts) != len(names):
        raise ValueError(f"the key {key!r} has a separator character in one of its parts")
    return parts
