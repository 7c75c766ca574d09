"""The state of each connection, and of its kinds that cannot be read: one row each; of callers at once, one changes it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from app.domain import ConnectionState, Kind
from app.stores.sql.columns import moment_from, some_moment
from app.stores.sql.statements import Statement


class StateRow(NamedTuple):
    """The state of a connection (``kind`` is ``None``), or of a kind that may not be read or is not answered."""

    connection: str
    kind: Kind | None
    state: ConnectionState
    since: datetime
    seen_at: datetime
    reason: str | None
    next_probe_at: datetime | None
    probes: int
    paused_by: str | None
    credentials: str


class Evidence(NamedTuple):
    """What a failed call says of a connection, at the moment ``at``, with these ``credentials``."""

    connection: str
    state: ConnectionState
    reason: str
    at: datetime
    credentials: str


_COLUMNS = ", ".join(StateRow._fields)
_ALL = Statement(f"SELECT {_COLUMNS} FROM connection_states ORDER BY connection, kind")

_FAULT = Statement(
    """
    INSERT INTO connection_states (connection, kind, state, since, seen_at, reason, next_probe_at, probes, credentials)
    VALUES (:connection, '', :state, :at, :at, :reason, :next_probe_at, 0, :credentials)
    ON CONFLICT (connection, kind) DO UPDATE SET
        state = excluded.state, since = excluded.since, seen_at = excluded.seen_at, reason = excluded.reason,
        next_probe_at = excluded.next_probe_at, probes = 0, credentials = excluded.credentials
    WHERE connection_states.state NOT IN ('paused', excluded.state) AND connection_states.since <= excluded.seen_at
    RETURNING connection
    """
)
_SEEN = Statement(
    """
    UPDATE connection_states SET seen_at = :at, reason = :reason, credentials = :credentials
    WHERE connection = :connection AND kind = '' AND state = :state AND seen_at < :at
    """
)


def record_fault(conn: Connection, evidence: Evidence, *, next_probe_at: datetime) -> bool:
    """Record that a connection refuses us or does not answer; ``True`` if this call changed its state.

    Evidence older than the present state changes nothing, nor does any evidence while a person has paused the connection.
    Later evidence of the same state keeps ``since`` and the time of the next probe; it stores the credentials that were
    refused, so that they are not tried again.
    """
    values = {**evidence._asdict(), "state": evidence.state.value}
    if _FAULT.run(conn, {**values, "next_probe_at": next_probe_at}):
        return True
    _SEEN.run(conn, {name: values[name] for name in ("at", "reason", "credentials", "connection", "state")})
    return False


_ADD_KIND = Statement(
    """
    INSERT INTO connection_states (connection, kind, state, since, seen_at, reason, next_probe_at, probes, credentials)
    VALUES (:connection, :kind, :state, :at, :at, :reason, :next_probe_at, 0, :credentials)
    ON CONFLICT DO NOTHING RETURNING connection
    """
)
_UPDATE_KIND = Statement(
    """
    UPDATE connection_states
    SET seen_at = :at, reason = :reason, next_probe_at = :next_probe_at, probes = probes + 1, credentials = :credentials,
        since = CASE WHEN state = :state THEN since ELSE :at END, state = :state
    WHERE connection = :connection AND kind = :kind AND seen_at <= :at
    AND (next_probe_at <= :at OR credentials <> :credentials)
    """
)
_TRIES = Statement("SELECT probes FROM connection_states WHERE connection = :connection AND kind = :kind")


def record_kind(conn: Connection, evidence: Evidence, kind: Kind, *, next_probe_at: datetime) -> bool:
    """Record that a kind must not be read until ``next_probe_at``; ``True`` if this was not known before."""
    state = evidence.state.value
    values = {**evidence._asdict(), "state": state, "kind": kind.value, "next_probe_at": next_probe_at}
    if _ADD_KIND.run(conn, values):
        return True
    _UPDATE_KIND.run(conn, values)
    return False


def tries(conn: Connection, connection: str, kind: Kind) -> int:
    """How many reads of a kind have failed since it could not be read; 0 if none has."""
    rows = _TRIES.run(conn, {"connection": connection, "kind": kind.value})
    return rows[0][0] + 1 if rows else 0


_ALLOW = Statement(
    "DELETE FROM connection_states WHERE connection = :connection AND kind = :kind AND seen_at < :read_at "
    "RETURNING connection"
)


def allow(conn: Connection, connection: str, kind: Kind, read_at: datetime) -> bool:
    """Record that a kind was read at that moment; ``True`` if it could not be read before."""
    return bool(_ALLOW.run(conn, {"connection": connection, "kind": kind.value, "read_at": read_at}))


_CLAIM = Statement(
    """
    UPDATE connection_states SET next_probe_at = :until, probes = probes + 1, credentials = :credentials
    WHERE connection = :connection AND kind = '' AND state <> 'paused'
    AND (next_probe_at <= :now OR (credentials <> :credentials AND state <> 'ok' AND seen_at <= :settled))
    RETURNING since, probes
    """
)


class Probe(NamedTuple):
    """A claim to call a connection that does not work: in which state (``since``), and the number of probes so far."""

    connection: str
    since: datetime
    probes: int


def claim_probe(
    conn: Connection, connection: str, credentials: str, *, now: datetime, until: datetime, settled: datetime
) -> Probe | None:
    """Claim the probe of a connection until ``until``; ``None`` if it is not due or another process has it.

    It is due at ``next_probe_at``, or at once if it was last refused (before ``settled``) with other credentials.
    """
    values = {"connection": connection, "credentials": credentials, "now": now, "until": until, "settled": settled}
    rows = _CLAIM.run(conn, values)
    return None if not rows else Probe(connection, some_moment(rows[0][0]), rows[0][1])


_RECOVER = Statement(
    """
    UPDATE connection_states
    SET state = 'ok', since = :now, seen_at = :now, reason = NULL, next_probe_at = NULL, probes = 0, paused_by = NULL
    WHERE connection = :connection AND kind = '' AND state IN ('refused', 'unanswered') AND since <= :began
    RETURNING connection
    """
)
_CALM = Statement(
    """
    UPDATE connection_states SET next_probe_at = NULL, probes = 0, seen_at = :now
    WHERE connection = :connection AND kind = '' AND state = 'ok'
    """
)


def recover(conn: Connection, connection: str, *, began: datetime, now: datetime) -> bool:
    """Record that a call that began then was answered; ``True`` if this ended a fault."""
    if _RECOVER.run(conn, {"connection": connection, "began": began, "now": now}):
        return True
    _CALM.run(conn, {"connection": connection, "now": now})
    return False


_FAILED = Statement(
    """
    UPDATE connection_states SET seen_at = :at, reason = :reason, next_probe_at = :next_probe_at
    WHERE connection = :connection AND kind = '' AND state = :state AND since = :since
    """
)


def probe_failed(conn: Connection, probe: Probe, evidence: Evidence, *, next_probe_at: datetime) -> bool:
    """Record that a probe failed; ``True`` if the connection is now in another state."""
    values = {"at": evidence.at, "reason": evidence.reason, "next_probe_at": next_probe_at}
    key = {"connection": evidence.connection, "state": evidence.state.value, "since": probe.since}
    if _FAILED.count(conn, {**values, **key}) == 1:
        return False
    return record_fault(conn, evidence, next_probe_at=next_probe_at)


_POSTPONE = Statement(
    "UPDATE connection_states SET next_probe_at = :at WHERE connection = :connection AND kind = '' AND state <> 'paused'"
)


def postpone_probe(conn: Connection, connection: str, at: datetime) -> None:
    """Have a probe that could not be made (no budget left) made at ``at``."""
    _POSTPONE.run(conn, {"connection": connection, "at": at})


_DOUBT = Statement(
    """
    INSERT INTO connection_states (connection, kind, state, since, seen_at, next_probe_at, probes, credentials)
    VALUES (:connection, '', 'ok', :now, :now, :now, 0, '')
    ON CONFLICT (connection, kind) DO UPDATE SET next_probe_at = excluded.next_probe_at
    WHERE connection_states.state <> 'paused'
    """
)


def doubt(conn: Connection, connection: str, now: datetime) -> None:
    """Have the next probe call the connection, in any state."""
    _DOUBT.run(conn, {"connection": connection, "now": now})


_PAUSE = Statement(
    """
    INSERT INTO connection_states (connection, kind, state, since, seen_at, reason, probes, paused_by, credentials)
    VALUES (:connection, '', 'paused', :now, :now, :reason, 0, :by, '')
    ON CONFLICT (connection, kind) DO UPDATE SET
        state = 'paused', since = excluded.since, seen_at = excluded.seen_at, reason = excluded.reason,
        next_probe_at = NULL, probes = 0, paused_by = excluded.paused_by
    WHERE connection_states.state <> 'paused'
    RETURNING connection
    """
)
_RESUME = Statement(
    """
    UPDATE connection_states
    SET state = 'ok', since = :now, seen_at = :now, reason = NULL, next_probe_at = :now, probes = 0, paused_by = NULL
    WHERE connection = :connection AND kind = '' AND state = 'paused' RETURNING connection
    """
)


_TRY_KINDS = Statement(
    """
    UPDATE connection_states SET next_probe_at = :now
    WHERE connection = :connection AND kind <> '' AND next_probe_at > :now
    """
)


def try_kinds(conn: Connection, connection: str, now: datetime) -> None:
    """Have the kinds that could not be read tried again at once."""
    _TRY_KINDS.run(conn, {"connection": connection, "now": now})


def pause(conn: Connection, connection: str, by: str, reason: str | None, now: datetime) -> bool:
    """Pause a connection for a person; ``False`` if it is paused already."""
    return bool(_PAUSE.run(conn, {"connection": connection, "by": by, "reason": reason, "now": now}))


def resume(conn: Connection, connection: str, now: datetime) -> bool:
    """End a person's pause, and have the next probe call the vendor; ``False`` if the connection is not paused."""
    return bool(_RESUME.run(conn, {"connection": connection, "now": now}))


def rows(conn: Connection) -> list[StateRow]:
    """All states; a connection that never failed has none."""
    return [_row(one) for one in _ALL.run(conn, {})]


def _row(stored: Sequence[Any]) -> StateRow:
    row = StateRow(*stored)
    return row._replace(
        kind=Kind(row.kind) if row.kind else None,
        state=ConnectionState(row.state),
        since=some_moment(row.since),
        seen_at=some_moment(row.seen_at),
        next_probe_at=moment_from(row.next_probe_at),
    )
