"""How each connection is and which kinds of it cannot be read: one row each, and every change has one winner."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection

from app.domain import ConnectionState, Kind
from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement


class StateRow(NamedTuple):
    """A row: of a connection where ``kind`` is ``None``, else of a kind that may not be read or is not answered."""

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
    """What a call that failed says of a connection, at the moment ``at``, with these ``credentials``."""

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
    """Say that a connection refuses us or does not answer; ``True`` for the one who changes its state.

    Evidence that is older than the present state changes nothing, nor does any while a person has paused it. Later
    evidence of the same state keeps ``since`` and when the vendor is called again; other credentials that are refused as
    well are not tried any more.
    """
    values = {**evidence._asdict(), "state": evidence.state.value}
    if _FAULT.run(conn, {**values, "next_probe_at": next_probe_at}):
        return True
    _SEEN.run(conn, {name: values[name] for name in ("at", "reason", "credentials", "connection", "state")})
    return False


_SAY = Statement(
    """
    INSERT INTO connection_states (connection, kind, state, since, seen_at, reason, next_probe_at, probes, credentials)
    VALUES (:connection, :kind, :state, :at, :at, :reason, :next_probe_at, 0, :credentials)
    ON CONFLICT DO NOTHING RETURNING connection
    """
)
_SAY_AGAIN = Statement(
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
    """Say that a kind is not to be asked for until ``next_probe_at``; ``True`` for the one who says so first."""
    state = evidence.state.value
    values = {**evidence._asdict(), "state": state, "kind": kind.value, "next_probe_at": next_probe_at}
    if _SAY.run(conn, values):
        return True
    _SAY_AGAIN.run(conn, values)
    return False


def tries(conn: Connection, connection: str, kind: Kind) -> int:
    """How often a kind was read again in vain; 0 for one of which nothing was said yet."""
    rows = _TRIES.run(conn, {"connection": connection, "kind": kind.value})
    return rows[0][0] + 1 if rows else 0


_ALLOW = Statement(
    "DELETE FROM connection_states WHERE connection = :connection AND kind = :kind AND seen_at < :read_at "
    "RETURNING connection"
)


def allow(conn: Connection, connection: str, kind: Kind, read_at: datetime) -> bool:
    """A kind was read at that moment, so it can be; ``True`` for the one who says so."""
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
    """A right to call a connection that does not work: which state of it (``since``), and how often it was called."""

    connection: str
    since: datetime
    probes: int


def claim_probe(
    conn: Connection, connection: str, credentials: str, *, now: datetime, until: datetime, settled: datetime
) -> Probe | None:
    """The right to call the connection, ours until ``until``; ``None`` when it is not due or somebody else has it.

    It is due at ``next_probe_at``, or at once when it was last refused (before ``settled``) with other credentials.
    """
    values = {"connection": connection, "credentials": credentials, "now": now, "until": until, "settled": settled}
    rows = _CLAIM.run(conn, values)
    return None if not rows else Probe(connection, _moment(rows[0][0]), rows[0][1])


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
    """A call that began then was answered: the connection is well; ``True`` for the one who ends its fault."""
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
    """A probe was in vain; ``True`` when the connection is now in another state than before."""
    values = {"at": evidence.at, "reason": evidence.reason, "next_probe_at": next_probe_at}
    whose = {"connection": evidence.connection, "state": evidence.state.value, "since": probe.since}
    if _FAILED.count(conn, {**values, **whose}) == 1:
        return False
    return record_fault(conn, evidence, next_probe_at=next_probe_at)


_POSTPONE = Statement(
    "UPDATE connection_states SET next_probe_at = :at WHERE connection = :connection AND kind = '' AND state <> 'paused'"
)


def postpone_probe(conn: Connection, connection: str, at: datetime) -> None:
    """A probe could not be made (no budget); it is due again then."""
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
    """Have the connection called by the next probe, whatever its state is."""
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
    """Have the kinds that could not be read tried again at once: somebody says that this may have changed."""
    _TRY_KINDS.run(conn, {"connection": connection, "now": now})


def pause(conn: Connection, connection: str, by: str, reason: str | None, now: datetime) -> bool:
    """A person pauses the connection; ``False`` if it is paused already."""
    return bool(_PAUSE.run(conn, {"connection": connection, "by": by, "reason": reason, "now": now}))


def resume(conn: Connection, connection: str, now: datetime) -> bool:
    """End a person's pause, and have the vendor called by the next probe; ``False`` if nobody had paused it."""
    return bool(_RESUME.run(conn, {"connection": connection, "now": now}))


def rows(conn: Connection) -> list[StateRow]:
    """Every row there is; a connection that never failed has none."""
    return [_row(one) for one in _ALL.run(conn, {})]


def _row(stored: Any) -> StateRow:
    connection, kind, state, since, seen_at, reason, next_probe_at, probes, paused_by, credentials = stored
    return StateRow(
        connection,
        Kind(kind) if kind else None,
        ConnectionState(state),
        _moment(since),
        _moment(seen_at),
        reason,
        moment_from(next_probe_at),
        probes,
        paused_by,
        credentials,
    )


def _moment(stored: Any) -> datetime:
    return cast(datetime, moment_from(stored))  # the column is not nullable
