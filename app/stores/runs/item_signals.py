"""What the database knows about changes of an item: is it owed, is it failing, how were its changes settled?"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, text

from app.domain import ALL_ITEMS, Cause, Kind
from app.rules.drift.drift import SettledChange
from app.stores.sql.columns import Moment, moment_from

_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)

_OF_NAMES = "connection = :connection AND kind = :kind AND external_id IN :names"
_OWED = text(
    f"SELECT external_id, first_seen_at, attempts > 0 OR kills > 0, cause FROM owed_items WHERE {_OF_NAMES}"
).bindparams(bindparam("names", expanding=True))
_LETTERS = text(
    f"""SELECT external_id, first_failed_at, died_at, state, error_type FROM dead_letters
        WHERE {_OF_NAMES} AND state IN ('dead', 'queued', 'discarded') AND died_at >= :since"""
).bindparams(bindparam("names", expanding=True), bindparam("since", type_=Moment()))
_FAILED = text(
    f"SELECT external_id, failed_at, error_type FROM failed_items WHERE {_OF_NAMES} AND resolved_at IS NULL"
).bindparams(bindparam("names", expanding=True))
_SETTLED = text(
    f"""SELECT external_id, outcome, cause, first_seen_at, settled_at FROM settlements
        WHERE {_OF_NAMES} AND settled_at >= :since ORDER BY settled_at, id"""
).bindparams(bindparam("names", expanding=True), bindparam("since", type_=Moment()))
_REMOVED = text(
    "SELECT item, max(at) FROM removals WHERE connection = :connection AND kind = :kind AND item IN :names GROUP BY item"
).bindparams(bindparam("names", expanding=True))
_ANY_REMOVED = text(
    "SELECT 1 FROM removals WHERE connection = :connection AND kind = :kind AND at >= :since LIMIT 1"
).bindparams(bindparam("since", type_=Moment()))
_POLL = text("SELECT enabled FROM schedules WHERE connection = :connection AND job = :job")


class Waiting(NamedTuple):
    """An owed item: since when it is owed, and whether it failed already."""

    since: datetime
    failing: bool


class Failing(NamedTuple):
    """A failure that is not resolved: when it began, when it failed last, and a description."""

    since: datetime
    at: datetime
    words: str


class ItemSignals(NamedTuple):
    """The signals of some items, by the names under which they can be owed; settled changes oldest first."""

    waiting: dict[str, Waiting]
    failing: dict[str, list[Failing]]
    settled: dict[str, list[SettledChange]]


def signals_of(
    conn: Connection, connection: str, kind: Kind, names: Sequence[str], since: datetime | None
) -> ItemSignals:
    """What is open of the named items, and what happened to them since a moment (``None``: ever); for some hundred names."""
    bound = {"connection": connection, "kind": kind.value, "names": list(names)}
    since = since or _BEFORE_ALL
    signals = ItemSignals({}, {}, {})
    for name, seen, failed, cause in conn.execute(_OWED, bound):
        if name != ALL_ITEMS or cause != Cause.RECONCILE:  # a run holds the whole kind for itself
            signals.waiting[name] = Waiting(_moment(seen), bool(failed))
    for name, first, died, state, error in conn.execute(_LETTERS, {**bound, "since": since}):
        words = f"a dead letter ({error})" if state != "discarded" else f"a discarded letter ({error})"
        signals.failing.setdefault(name, []).append(Failing(_moment(first), _moment(died), words))
    for name, at, error in conn.execute(_FAILED, bound):
        failed_at = _moment(at)
        signals.failing.setdefault(name, []).append(Failing(failed_at, failed_at, f"it failed in a read ({error})"))
    for name, outcome, cause, heard, at in conn.execute(_SETTLED, {**bound, "since": since}):
        signals.settled.setdefault(name, []).append(SettledChange(outcome, cause, _moment(heard), _moment(at)))
    return signals


def removed(conn: Connection, connection: str, kind: Kind, items: Sequence[str]) -> dict[str, datetime]:
    """When another program deleted rows of these items ("/"-joined keys); items without such a deletion are left out."""
    bound = {"connection": connection, "kind": kind.value, "names": list(items)}
    return {item: _moment(at) for item, at in conn.execute(_REMOVED, bound)}


def any_removed(conn: Connection, connection: str, kind: Kind, since: datetime) -> bool:
    """Whether another program deleted a row of the kind since then."""
    bound = {"connection": connection, "kind": kind.value, "since": since}
    return conn.execute(_ANY_REMOVED, bound).first() is not None


def is_polled(conn: Connection, connection: str, job: str) -> bool | None:
    """Whether a job is enabled; ``None`` where it has no schedule."""
    enabled = conn.execute(_POLL, {"connection": connection, "job": job}).scalar()
    return None if enabled is None else bool(enabled)


def _moment(stored: Any) -> datetime:
    return moment_from(stored) or _BEFORE_ALL
