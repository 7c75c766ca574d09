"""Extends, releases and postpones the claims of a worker.

Every statement changes only what the worker still holds: a token that the row no longer has belongs to a lost lease.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.domain import ItemKey, Kind
from app.stores.owed.claiming import Claim
from app.stores.sql.statements import Statement, bound_list

# By key, so that only one plan is possible, and all of a kind in one statement. Rows are locked in the order of their
# keys. Each claim has its own token, so it is enough that a row's token is among the given ones.
_THOSE = "connection = :connection AND kind = :kind AND external_id AMONG :ids AND token AMONG :tokens"
_LOCK = f'SELECT external_id FROM owed_items WHERE {_THOSE} ORDER BY external_id COLLATE "C" FOR UPDATE'


def _update(assignments: str) -> Statement:
    """A statement that changes the rows of those claims that still hold them."""
    return Statement(
        f"UPDATE owed_items SET {assignments} WHERE {_THOSE}",
        postgresql=f"""
        WITH held AS MATERIALIZED ({_LOCK})
        UPDATE owed_items SET {assignments}
        WHERE connection = :connection AND kind = :kind AND external_id = ANY(ARRAY(SELECT external_id FROM held))
        """,
    )


_STILL_HELD = Statement(f"SELECT external_id FROM owed_items WHERE {_THOSE}", postgresql=_LOCK)
_EXTEND = _update("lease_until = :until")
_RELEASE = _update("token = NULL, lease_until = NULL")
_POSTPONE = _update("token = NULL, lease_until = NULL, hinted_at = NULL, next_at = :next_at")
_ASK_AGAIN = _update("token = NULL, lease_until = NULL, hinted_at = NULL, next_at = :next_at, asks = asks + 1")
_FAIL = _update("attempts = attempts + 1, token = NULL, lease_until = NULL, hinted_at = NULL, next_at = :next_at")


def still_held(conn: Connection, claims: Sequence[Claim]) -> set[ItemKey]:
    """The items whose claims still hold them; nobody else can take them before this transaction ends. Call it before
    anything of theirs is written."""
    held: set[ItemKey] = set()
    for of in _by_kind(conn, claims):
        rows = _STILL_HELD.run(conn, of)
        held.update(ItemKey(of["connection"], Kind(of["kind"]), id) for (id,) in rows)
    return held


def extend(conn: Connection, claims: Sequence[Claim], *, until: datetime) -> int:
    """Extend the leases that still hold; returns how many these are."""
    return _change(conn, _EXTEND, claims, until=until)


def release(conn: Connection, claims: Sequence[Claim]) -> None:
    """Release claims unworked: their items stay due, and no crash is counted."""
    _change(conn, _RELEASE, claims)


def postpone(conn: Connection, claims: Sequence[Claim], *, next_at: datetime) -> None:
    """Release claims unworked; their items are due at ``next_at``, and no failed attempt is counted."""
    _change(conn, _POSTPONE, claims, next_at=next_at)


def ask_again(conn: Connection, claims: Sequence[Claim], *, next_at: datetime) -> None:
    """Release claims whose source did not show the version that a hint named; counts in ``asks``."""
    _change(conn, _ASK_AGAIN, claims, next_at=next_at)


def fail(conn: Connection, claim: Claim, *, next_at: datetime) -> bool:
    """Count a failed attempt and release the claim; its item is due at ``next_at``. ``False`` if the lease was lost."""
    return _change(conn, _FAIL, [claim], next_at=next_at) == 1


def _change(conn: Connection, statement: Statement, claims: Sequence[Claim], **values: Any) -> int:
    return sum(statement.count(conn, {**of, **values}) for of in _by_kind(conn, claims))


def _by_kind(conn: Connection, claims: Sequence[Claim]) -> Iterator[dict[str, Any]]:
    """The SQL parameters for the claims of each connection and kind, always in the same order."""
    groups: dict[tuple[str, Kind], list[Claim]] = defaultdict(list)
    for claim in claims:
        groups[claim.key.connection, claim.key.kind].append(claim)
    for connection, kind in sorted(groups):
        some = groups[connection, kind]
        yield {
            "connection": connection,
            "kind": kind.value,
            "ids": bound_list(conn, [claim.key.external_id for claim in some]),
            "tokens": bound_list(conn, sorted({claim.token for claim in some})),
        }
