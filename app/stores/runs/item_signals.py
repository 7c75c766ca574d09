"""What the database knows about an item: whether it is owed or failing, and how its changes were settled."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection

from app.domain import ALL_ITEMS, Cause, Kind
from app.rules.drift.drift import SettledChange
from app.stores.sql.columns import some_moment
from app.stores.sql.statements import Statement, bound_list

_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)

_OF_NAMES = "connection = :connection AND kind = :kind AND external_id AMONG :names"
_OWED = Statement(
    f"SELECT external_id, first_seen_at, attempts > 0 OR kills > 0, cause FROM owed_items WHERE {_OF_NAMES}"
)
_LETTERS = Statement(
    f"""SELECT external_id, first_failed_at, died_at, state, error_type FROM dead_letters
        WHERE {_OF_NAMES} AND state IN ('dead', 'queued', 'discarded') AND died_at >= :since"""
)
_FAILED = Statement(
    f"SELECT external_id, failed_at, error_type FROM failed_items WHERE {_OF_NAMES} AND resolved_at IS NULL"
)
_SETTLED = Statement(
    f"""SELECT external_id, outcome, cause, first_seen_at, settled_at FROM settlements
        WHERE {_OF_NAMES} AND settled_at >= :since ORDER BY settled_at, id"""
)
_REMOVED = Statement(
    """
    SELECT item, max(at) FROM removals WHERE connection = :connection AND kind = :kind AND item AMONG :names GROUP BY item
    """
)
_ANY_REMOVED = Statement(
    "SELECT 1 FROM removals WHERE connection = :connection AND kind = :kind AND at >= :since LIMIT 1"
)
_POLL = Statement("SELECT enabled FROM schedules WHERE connection = :connection AND job = :job")


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
    """What is open of the named items, and what happened to them since a moment (``None``: ever); for a few hundred
    names."""
    bound = {"connection": connection, "kind": kind.value, "names": bound_list(conn, names)}
    since = since or _BEFORE_ALL
    signals = ItemSignals({}, {}, {})
    for name, seen, failed, cause in _OWED.run(conn, bound):
        if name != ALL_ITEMS or cause != Cause.RECONCILE:  # a run holds the whole kind for itself
            signals.waiting[name] = Waiting(some_moment(seen), bool(failed))
    for name, first, died, state, error in _LETTERS.run(conn, {**bound, "since": since}):
        words = f"a dead letter ({error})" if state != "discarded" else f"a discarded letter ({error})"
        signals.failing.setdefault(name, []).append(Failing(some_moment(first), some_moment(died), words))
    for name, at, error in _FAILED.run(conn, bound):
        failed_at = some_moment(at)
        signals.failing.setdefault(name, []).append(Failing(failed_at, failed_at, f"it failed in a read ({error})"))
    for name, outcome, cause, heard, at in _SETTLED.run(conn, {**bound, "since": since}):
        signals.settled.setdefault(name, []).append(
            SettledChange(outcome, cause, some_moment(heard), some_moment(at))
        )
    return signals


def removed(conn: Connection, connection: str, kind: Kind, items: Sequence[str]) -> dict[str, datetime]:
    """When another program deleted rows of these items ("/"-joined keys); items without such a deletion are left out."""
    bound = {"connection": connection, "kind": kind.value, "names": bound_list(conn, items)}
    return {item: some_moment(at) for item, at in _REMOVED.run(conn, bound)}


def any_removed(conn: Connection, connection: str, kind: Kind, since: datetime) -> bool:
    """Whether another program deleted a row of the kind since then."""
    bound = {"connection": connection, "kind": kind.value, "since": since}
    return bool(_ANY_REMOVED.run(conn, bound))


def is_polled(conn: Connection, connection: str, job: str) -> bool | None:
    """Whether a job is enabled; ``None`` where it has no schedule."""
    rows = _POLL.run(conn, {"connection": connection, "job": job})
    return bool(rows[0][0]) if rows else None
