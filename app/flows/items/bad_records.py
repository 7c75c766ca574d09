"""Records that are shown but cannot be read or stored: each is noted by itself, and its neighbours go on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from app.domain import KINDS, Answer, BadRecord, Kind, Listing, Record, Ref, Scope, key_of
from app.errors import DatabaseFault, Unmappable
from app.flows.deps import Deps
from app.rules.letters.trouble import category_of
from app.stores.runs import failed_items
from app.stores.sql.engine import DATABASE_ERRORS

MOST_NOTED = 1_000
"""Failed items written down per kind and read; of more the run's counts tell the number."""

_INT64 = 2**63
_MOST_DIGITS = Decimal(10) ** 15

log = structlog.get_logger()


class Failure(NamedTuple):
    """An item that failed alone, and why; ``row`` is the external id of the very row, where only that is bad."""

    ref: Ref
    error: Exception
    row: str | None = None

    @property
    def shown(self) -> str:
        """What has not vanished, for it was shown: the row, or all of the item."""
        return self.row or self.ref.external_id


def unread(bad: BadRecord) -> Failure:
    """A record that its source could not read; where its own id is unreadable it is a failure of its item."""
    return Failure(Ref(bad.kind, bad.external_id or bad.item_id), Unmappable(bad.error))


def unstorable(record: Record, error: Exception) -> Failure:
    """A record that cannot be compared or stored: the message names it, the field, what stands there and what was
    expected, or has the database's own words."""
    kind = KINDS[type(record)]
    told = Unmappable(f"{kind} {'/'.join(key_of(record))} cannot be stored: {_misfit(record) or _words(error)}")
    told.__cause__ = error
    return Failure(Ref(kind, item_of(record)), told, key_of(record)[0])


def parted(records: Iterable[Record]) -> tuple[list[Record], list[Failure]]:
    """The records that a database can hold, and failures for the others; what must be laid by before it is written cannot
    wait for the database to say so."""
    good: list[Record] = []
    bad: list[Failure] = []
    for record in records:
        if (misfit := _misfit(record)) is None:
            good.append(record)
        else:
            bad.append(unstorable(record, ValueError(misfit)))
    return good, bad


def item_of(record: Record) -> str:
    """The external id of the item that a record belongs to: a variation's parent, a count's listing."""
    if isinstance(record, Listing) and record.parent_id is not None:
        return record.parent_id
    return key_of(record)[0]


def names_of(record: Record) -> tuple[str, str]:
    """The external ids under which a record's item can have failed."""
    return key_of(record)[0], item_of(record)


def sure_scopes(answer: Answer) -> list[Scope]:
    """The scopes of an answer that its unreadable records do not leave in doubt: what is shown has not vanished."""
    failed = {bad.external_id for bad in answer.failed}
    if "" in failed:
        return []
    return [scope for scope in answer.covers if not failed or (scope.field and scope.value not in failed)]


def note(
    deps: Deps, conn: Connection, connection: str, failures: Sequence[Failure], run_id: int | None = None
) -> None:
    """Write failures down as failed items of a run, or (without one) of a poll."""
    for failure in failures[:MOST_NOTED]:
        error = failure.error
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        failed_items.record(
            conn,
            run_id,
            connection,
            failure.ref,
            category=category_of(cause, DATABASE_ERRORS),
            error=error,
            now=deps.now(),
            redact=deps.redact,
        )


def tell(connection: str, failures: Sequence[Failure], run_id: int | None = None) -> None:
    """One line in the log for all that failed in a read."""
    if failures:
        first = failures[0]
        counted = {"failed": len(failures), "first": str(first.error)}
        log.warning("records_failed", connection=connection, kind=first.ref.kind, run=run_id, **counted)


def isolated(
    records: Sequence[Record],
    write: Callable[[Sequence[Record]], None],
    fail: Callable[[Record, Exception], None],
    passing: tuple[type[Exception], ...] = (),
) -> None:
    """``write`` records in one commit; those that cannot be written are found by halving and given to ``fail``.

    ``DatabaseFault`` and ``passing`` concern no record and are raised.
    """
    try:
        write(records)
    except Exception as error:
        if not records or isinstance(error, (DatabaseFault, *passing)):
            raise
        if len(records) == 1:
            fail(records[0], error)
            return
        half = len(records) // 2
        isolated(records[:half], write, fail, passing)
        isolated(records[half:], write, fail, passing)


@dataclass
class Healing:
    """Which items that failed before are shown well by a read. ``known`` are those that failed, by external id."""

    known: Collection[str]
    shown: set[str] = field(default_factory=set)

    def see(self, records: Iterable[Record]) -> None:
        """Note what a page shows."""
        if self.known:
            self.shown.update(name for record in records for name in names_of(record) if name in self.known)

    def healed(self, failing: Collection[str], *, complete: bool) -> list[str]:
        """The items that are well now, or that a complete read shows no more, so that nothing is left to fail."""
        well = set(self.known) if complete else self.shown
        return sorted(well - set(failing))


def healing(deps: Deps, connection: str, kind: Kind) -> Healing:
    """What to look for in a read of a kind."""
    with deps.database.read() as conn:
        return Healing(failed_items.open_ids(conn, connection, kind))


def _misfit(record: Record) -> str | None:
    """The first field that no database of ours can hold."""
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, str) and not _is_text(value):
            return f"{name} is {value[:80]!r}; text without NUL and lone surrogates was expected"
        if isinstance(value, int) and not -_INT64 <= value < _INT64:
            return f"{name} is {value}; a whole number of at most 64 bits was expected"
        if isinstance(value, Decimal) and not (value.is_finite() and abs(value) < _MOST_DIGITS):
            return f"{name} is {value}; at most 15 digits before the point were expected"
    return None


def _is_text(value: str) -> bool:
    return "\x00" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)


def _words(error: Exception) -> str:
    """The driver's own words, and the place that a server names with them."""
    diagnosis = getattr(error, "diag", None)
    place = getattr(diagnosis, "context", None) or getattr(diagnosis, "column_name", None)
    words = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{words} ({place.splitlines()[0]})" if place else words
