"""Records that are shown but cannot be read or stored: each fails alone, and its neighbours go on."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from app.domain import KINDS, Answer, BadRecord, Kind, Record, Ref, Scope, check_storable, item_of, key_of
from app.errors import DatabaseFault, Unmappable
from app.flows.deps import Deps
from app.rules.letters.trouble import category_of
from app.stores.runs import failed_items
from app.stores.sql.engine import DATABASE_ERRORS
from app.stores.sql.statements import storable

MAX_RECORDED = 1_000
"""At most this many failed items are written per kind and read; the run's counts include all of them."""

_SHOWN = 80
"""Characters of a key that a message shows."""

_INT64 = 2**63
_MOST_DIGITS = Decimal(10) ** 15

log = structlog.get_logger()


class Failure(NamedTuple):
    """An item that failed alone, and why; ``row`` is a row's external id where only that row is bad."""

    ref: Ref
    error: Exception
    row: str | None = None

    @property
    def shown(self) -> str:
        """The id that was shown and so has not vanished: the row's, or for all rows the item's."""
        return self.row or self.ref.external_id


def unread(bad: BadRecord) -> Failure:
    """The failure of a record that its source could not read; if its own id is unreadable, that of its item."""
    return Failure(Ref(bad.kind, bad.external_id or bad.item_id), Unmappable(bad.error))


def unstorable(record: Record, error: Exception) -> Failure:
    """The failure of a record that cannot be compared or stored. Its message names the record, the field, its value and
    what was expected, or quotes the database."""
    kind = KINDS[type(record)]
    failure = Unmappable(
        f"{kind} {'/'.join(key_of(record))[:_SHOWN]} cannot be stored: {_misfit(record) or _message(error)}"
    )
    failure.__cause__ = error
    return Failure(Ref(kind, item_of(record)), failure, key_of(record)[0])


def split_storable(records: Iterable[Record]) -> tuple[list[Record], list[Failure]]:
    """The records that a database can hold, and failures for the others: for records that are spooled before they are
    written, so that the database cannot tell."""
    good: list[Record] = []
    bad: list[Failure] = []
    for record in records:
        if (misfit := _misfit(record)) is None:
            good.append(record)
        else:
            bad.append(unstorable(record, ValueError(misfit)))
    return good, bad


def names_of(record: Record) -> tuple[str, str]:
    """The external ids under which a record's item can have failed."""
    return key_of(record)[0], item_of(record)


def sure_scopes(answer: Answer) -> list[Scope]:
    """The scopes of an answer that hold in spite of its unreadable records: these were shown and have not vanished."""
    failed = {bad.external_id for bad in answer.failed}
    if "" in failed:
        return []
    return [scope for scope in answer.covers if not failed or (scope.field and scope.value not in failed)]


def record_failures(
    deps: Deps, conn: Connection, connection: str, failures: Sequence[Failure], run_id: int | None = None
) -> None:
    """Write failures as failed items of a run, or (without one) of a poll."""
    for failure in failures[:MAX_RECORDED]:
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


def log_failures(connection: str, failures: Sequence[Failure], run_id: int | None = None) -> None:
    """Log one line for all failures of a read."""
    if failures:
        first = failures[0]
        counts = {"failed": len(failures), "first": str(first.error)}
        log.warning("records_failed", connection=connection, kind=first.ref.kind, run=run_id, **counts)


def isolated(
    records: Sequence[Record],
    write: Callable[[Sequence[Record]], None],
    fail: Callable[[Record, Exception], None],
    passing: tuple[type[Exception], ...] = (),
) -> None:
    """``write`` records in one commit; find those that cannot be written by halving, and give them to ``fail``.

    Raises ``DatabaseFault`` and ``passing``, which no record causes.
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


def storable_ones(
    deps: Deps, records: Sequence[Record], write: Callable[[Connection, Sequence[Record]], object]
) -> tuple[list[Record], list[Failure]]:
    """The records that can be written, and failures for the others: found by writes that are undone, so that one commit can
    write what is left. Raises ``DatabaseFault``, which no record causes."""
    failures: dict[int, Failure] = {}

    def attempt(some: Sequence[Record]) -> None:
        with deps.database.begin() as conn:
            write(conn, some)
            conn.rollback()

    isolated(records, attempt, lambda record, error: failures.update({id(record): unstorable(record, error)}))
    return [record for record in records if id(record) not in failures], list(failures.values())


@dataclass
class Healing:
    """Finds the items that failed before and that a read shows without an error. ``known`` are their external ids."""

    known: Collection[str]
    shown: set[str] = field(default_factory=set)

    def note(self, records: Iterable[Record]) -> None:
        """Note the items that a page shows."""
        if self.known:
            self.shown.update(name for record in records for name in names_of(record) if name in self.known)

    def healed(self, failing: Collection[str], *, complete: bool) -> list[str]:
        """The items that are readable now, or that a complete read no longer shows."""
        well = set(self.known) if complete else self.shown
        return sorted(well - set(map(storable, failing)))


def healing(deps: Deps, connection: str, kind: Kind) -> Healing:
    """The failed items to look for in a read of a kind."""
    with deps.database.read() as conn:
        return Healing(failed_items.open_ids(conn, connection, kind))


def _misfit(record: Record) -> str | None:
    """The first field that one of our databases cannot store, or what is wrong with the key."""
    try:
        check_storable(record)
    except ValueError as error:
        return str(error)
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


def _message(error: Exception) -> str:
    """The first line of the driver's message, and the place that a server names with it."""
    diagnosis = getattr(error, "diag", None)
    place = getattr(diagnosis, "context", None) or getattr(diagnosis, "column_name", None)
    message = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{message} ({place.splitlines()[0]})" if place else message
