"""Claims owed items for a worker: an item, those named with it, and due neighbours."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from app.domain import ALL_ITEMS, ItemKey, Kind
from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement, bound_list, key_of

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""For ``blameless``: every lease that ran out is its holder's fault."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One item leased to one worker. A settlement will cover it up to ``rev``. ``crashes`` counts leases that ran out,
    ``asks`` how often the source did not show the version that a hint named."""

    key: ItemKey
    rev: int
    token: str
    attempts: int
    crashes: int
    version: int
    cause: str
    first_seen_at: datetime
    claimed_at: datetime | None = None
    asks: int = 0


BY_KEY = "connection = :connection AND kind = :kind AND external_id = :external_id"
_FREE = "next_at <= :now AND (lease_until IS NULL OR lease_until <= :now)"
# An item that failed, or took a worker down twice (a poison candidate), is fetched alone: it must not take its
# neighbours with it again. A lease that ran out is one such crash, though it is counted only by the next claim. Leases
# that ran out since ``blameless`` do not count: the database was away, and nobody could renew them.
_POISON_CRASHES = 2
_KILLS = """owed_items.kills + CASE WHEN owed_items.lease_until IS NULL OR owed_items.lease_until >= :blameless
    THEN 0 ELSE 1 END"""

# Claiming also clears hinted_at, for the message is used up: when the lease runs out, the sweep sends the next at once.
_LEASE = f"token = :token, lease_until = :until, hinted_at = NULL, kills = {_KILLS}"
_CLAIMED = "kind, owed_items.external_id, rev, attempts, kills, version, cause, first_seen_at, asks"
MAY_COME_ALONG = f"{_FREE} AND external_id <> '{ALL_ITEMS}' AND attempts = 0 AND {_KILLS} < {_POISON_CRASHES}"

# No SKIP LOCKED for the item itself: a receiver that just adds a change to it must not make its only message a no-op.
_CLAIM_ITEM = Statement(
    f"UPDATE owed_items SET {_LEASE} WHERE {BY_KEY} AND {_FREE} AND {_KILLS} < :kills RETURNING {_CLAIMED}"
)
_IS_POISON_CANDIDATE = Statement(
    f"SELECT 1 FROM owed_items WHERE {BY_KEY} AND {_FREE} AND {_KILLS} >= {_POISON_CRASHES}"
)
# Looking only at the nearest by key bounds the work, however many items are leased or not due. Each step can only
# be a short walk along the key's index: PostgreSQL plans a join here that takes seconds while its statistics are old.
_NEIGHBOURS = """
    SELECT external_id FROM owed_items
    WHERE connection = :connection AND kind = :kind AND external_id {beyond} :external_id AND {may_come_along}
      AND external_id {within} (
        SELECT {last}(external_id) FROM (
            SELECT external_id FROM owed_items
            WHERE connection = :connection AND kind = :kind AND external_id {beyond} :external_id
            ORDER BY external_id {direction} LIMIT :near) AS nearest)
    ORDER BY external_id {direction}
"""
_AFTER = _NEIGHBOURS.format(beyond=">", within="<=", last="max", direction="ASC", may_come_along=MAY_COME_ALONG)
_BEFORE = _NEIGHBOURS.format(beyond="<", within=">=", last="min", direction="DESC", may_come_along=MAY_COME_ALONG)
_BOTH = "SELECT external_id FROM after UNION ALL SELECT external_id FROM before"
_CLAIM_OTHERS = Statement(
    f"""
    WITH after AS ({_AFTER} LIMIT :more), before AS ({_BEFORE} LIMIT :more - (SELECT count(*) FROM after))
    UPDATE owed_items SET {_LEASE}
    WHERE connection = :connection AND kind = :kind AND external_id IN ({_BOTH})
    RETURNING {_CLAIMED}
    """,
    postgresql=f"""
    WITH after AS MATERIALIZED ({_AFTER} LIMIT :more FOR UPDATE SKIP LOCKED),
         before AS MATERIALIZED ({_BEFORE} LIMIT :more - (SELECT count(*) FROM after) FOR UPDATE SKIP LOCKED)
    UPDATE owed_items SET {_LEASE}
    WHERE connection = :connection AND kind = :kind AND external_id = ANY(ARRAY({_BOTH}))
    RETURNING {_CLAIMED}
    """,
)
_MAY_COME = f"(external_id = :external_id AND {_FREE} AND {_KILLS} < :kills OR {MAY_COME_ALONG})"
_THESE = "connection = :connection AND kind = :kind AND external_id AMONG :ids"
# All of them are waited for, in the order of their keys.
_CLAIM_THESE = Statement(
    f"UPDATE owed_items SET {_LEASE} WHERE {_THESE} AND {_MAY_COME} RETURNING {_CLAIMED}",
    postgresql=f"""
    WITH these AS MATERIALIZED (
        SELECT external_id FROM owed_items WHERE {_THESE} AND {_MAY_COME} ORDER BY external_id COLLATE "C" FOR UPDATE)
    UPDATE owed_items SET {_LEASE}
    WHERE connection = :connection AND kind = :kind AND external_id = ANY(ARRAY(SELECT external_id FROM these))
    RETURNING {_CLAIMED}
    """,
)
_MANY = 1_000_000_000
_NEAR = 4  # on either side, at most this many times ``more`` neighbours are read


def claim(
    conn: Connection,
    key: ItemKey,
    *,
    also: Sequence[str] = (),
    more: int,
    lease: float,
    now: datetime,
    poison_candidates: bool = True,
    blameless: datetime = NEVER,
) -> list[Claim]:
    """Lease an item for ``lease`` seconds, with it the items ``also`` named of its connection and kind, and as many of its
    due neighbours as make up to ``more`` others.

    The item comes first. Items that are not owed, not due yet, or leased to somebody else are left out. A lease that ran
    out is taken over and counts as a crash, unless it ran out at or after ``blameless``. ``ALL_ITEMS`` and poison candidates
    are only claimed alone, and the latter only with ``poison_candidates``; items that failed before never come along.
    """
    until = now + timedelta(seconds=lease)
    values = {**key_of(key), "token": uuid.uuid4().hex, "until": until, "now": now, "blameless": blameless}
    kills = _MANY if poison_candidates else _POISON_CRASHES
    claims = _claim_named(conn, [key.external_id, *also], {**values, "kills": kills})
    left = more + 1 - len(claims)
    if claims and left > 0 and not any(map(_stays_alone, claims)):
        claims += _claims(values, _CLAIM_OTHERS.run(conn, {**values, "more": left, "near": _NEAR * left}))
    return sorted(claims, key=lambda claim: claim.key != key)


def _claim_named(conn: Connection, ids: Sequence[str], values: Mapping[str, Any]) -> list[Claim]:
    if len(ids) == 1:
        return _claims(values, _CLAIM_ITEM.run(conn, values))
    return _claims(values, _CLAIM_THESE.run(conn, {**values, "ids": bound_list(conn, ids)}))


def _stays_alone(claim: Claim) -> bool:
    return claim.key.external_id == ALL_ITEMS or claim.crashes >= _POISON_CRASHES


_TAKE = Statement(
    f"""
    UPDATE owed_items SET token = :token, lease_until = :now WHERE {BY_KEY} AND (lease_until IS NULL OR lease_until <= :now)
    RETURNING {_CLAIMED}
    """
)


def take(conn: Connection, key: ItemKey, now: datetime) -> Claim | None:
    """Claim an item, due or not, to settle it within this transaction; ``None`` when it is not owed or leased."""
    values = {**key_of(key), "token": uuid.uuid4().hex, "now": now}
    return next(iter(_claims(values, _TAKE.run(conn, values))), None)


def is_poison_candidate(conn: Connection, key: ItemKey, now: datetime, *, blameless: datetime = NEVER) -> bool:
    """Whether a due item was being worked on twice or more when a worker died: it may be what kills them."""
    return bool(_IS_POISON_CANDIDATE.run(conn, {**key_of(key), "now": now, "blameless": blameless}))


def _claims(values: Mapping[str, Any], rows: Sequence[Sequence[Any]]) -> list[Claim]:
    """The claims that a statement with these parameters has made."""
    return [_claim(values, row) for row in rows]


def _claim(values: Mapping[str, Any], row: Sequence[Any]) -> Claim:
    kind, external_id, rev, attempts, kills, version, cause, seen, asks = row
    key, now = ItemKey(values["connection"], Kind(kind), external_id), values["now"]
    return Claim(key, rev, values["token"], attempts, kills, version, cause, moment_from(seen) or now, now, asks)
