"""What a worker does with the items it has leased, short of settling them: keep them, give them back, try them later.

Every statement here changes only what the worker still holds. A token that is not the row's own any more belongs to
somebody who lost the lease.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.domain import ItemKey, Kind
from app.stores.owed.claiming import Claim
from app.stores.sql.statements import Statement, bound_list

# By key, so that there is only one plan to choose, and all of a kind in one statement. Where rows are waited for it is
# in the order of their keys. A token is one claim's own, so it is enough that it is among those given.
_THOSE = "connection = :connection AND kind = :kind AND external_id {ids} AND token {tokens}"
_ON_SQLITE = _THOSE.format(
    ids="IN (SELECT value FROM json_each(:ids))", tokens="IN (SELECT value FROM json_each(:tokens))"
)
_ON_POSTGRESQL = _THOSE.format(ids="= ANY(:ids::text[])", tokens="= ANY(:tokens::text[])")
_LOCK = f"""
    SELECT external_id FROM owed_items WHERE {_ON_POSTGRESQL} ORDER BY external_id COLLATE "C" FOR UPDATE
"""


def _update(assignments: str) -> Statement:
    """A statement that changes the rows of claims which are still their holders'."""
    return Statement(
        f"UPDATE owed_items SET {assignments} WHERE {_ON_SQLITE}",
        postgresql=f"""
        WITH held AS MATERIALIZED ({_LOCK})
        UPDATE owed_items SET {assignments}
        WHERE connection = :connection AND kind = :kind AND external_id = ANY(ARRAY(SELECT external_id FROM held))
        """,
    )


_STILL_HELD = Statement(f"SELECT external_id FROM owed_items WHERE {_ON_SQLITE}", postgresql=_LOCK)
_EXTEND = _update("lease_until = :until")
_RELEASE = _update("token = NULL, lease_until = NULL")
_POSTPONE = _update("token = NULL, lease_until = NULL, hinted_at = NULL, next_at = :next_at")
_ASK_AGAIN = _update("token = NULL, lease_until = NULL, hinted_at = NULL, next_at = :next_at, asks = asks + 1")
_FAIL = _update("attempts = attempts + 1, token = NULL, lease_until = NULL, hinted_at = NULL, next_at = :next_at")


def still_held(conn: Connection, claims: Sequence[Claim]) -> set[ItemKey]:
    """The items of these claims whose lease is still the claim's own; nobody else can take them before this
    transaction ends. To be asked first, before anything of theirs is written."""
    found: set[ItemKey] = set()
    for whose in _by_kind(conn, claims):
        rows = _STILL_HELD.run(conn, whose)
        found.update(ItemKey(whose["connection"], Kind(whose["kind"]), id) for (id,) in rows)
    return found


def extend(conn: Connection, claims: Sequence[Claim], *, until: datetime) -> int:
    """Keep the claims that are still ours until a later moment; returns how many these are."""
    return _change(conn, _EXTEND, claims, until=until)


def release(conn: Connection, claims: Sequence[Claim], *, now: datetime) -> None:
    """Give claims back untouched: due as before, and no kill is counted."""
    _change(conn, _RELEASE, claims)


def postpone(conn: Connection, claim: Claim, *, next_at: datetime) -> None:
    """Give a claim back unworked, to be tried from ``next_at`` on; no failed attempt is counted."""
    postpone_all(conn, [claim], next_at=next_at)


def postpone_all(conn: Connection, claims: Sequence[Claim], *, next_at: datetime) -> None:
    """``postpone`` for several claims."""
    _change(conn, _POSTPONE, claims, next_at=next_at)


def ask_again(conn: Connection, claims: Sequence[Claim], *, next_at: datetime) -> None:
    """Give claims back whose source did not show the version that a hint named; counted in ``asks``."""
    _change(conn, _ASK_AGAIN, claims, next_at=next_at)


def fail(conn: Connection, claim: Claim, *, next_at: datetime, now: datetime) -> bool:
    """Count one failed attempt and give the claim back, to be tried again from ``next_at`` on; ``False`` when it was
    not ours any more."""
    return _change(conn, _FAIL, [claim], next_at=next_at) == 1


def _change(conn: Connection, statement: Statement, claims: Sequence[Claim], **values: Any) -> int:
    return sum(statement.count(conn, {**whose, **values}) for whose in _by_kind(conn, claims))


def _by_kind(conn: Connection, claims: Sequence[Claim]) -> Iterator[dict[str, Any]]:
    """The claims of each connection and kind as parameters, always in the same order."""
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
