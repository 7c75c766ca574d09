"""Holds: keep an implausible batch as it is, and do with it what a person decides."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from app.domain import Absent, Cause, Change, Kind, batches, key_of, row_hash
from app.errors import Refused
from app.flows import audit
from app.flows.deps import Deps
from app.flows.plausible import Verdict, learn_released
from app.rules.guard_findings import Trait
from app.stores import bulk, catalog, drift, holds, owed, runs
from app.stores import catalog_sql as sql
from app.stores.catalog import Key
from app.stores.guard import Batch, JudgedRow
from app.stores.holds import HeldRow
from app.stores.spool import Spool

AT_ONCE = 500
"""Rows per commit: acknowledgements wait for the writer before them."""

TRIES = 50
"""How often a hold that others are in the way of is tried."""

SHOWN = 20
"""Sample rows that are shown of a hold."""

LONGEST_BELIEF = timedelta(days=90)

log = structlog.get_logger()


@dataclass(frozen=True)
class Held:
    """What is held now: the keys of the rows, and why."""

    keys: set[Key]
    reason: str


def keep(
    deps: Deps,
    connection: str,
    kind: Kind,
    verdict: Verdict,
    *,
    read_at: datetime,
    absent: Absent | None,
    summary: dict[str, Any],
    run_id: int | None = None,
) -> Held:
    """Put the rows that a verdict holds in front of a person, and keep them: what is shown is what a release writes. The
    same batch again stays the same hold; another one takes its place."""
    reason, digest, keys = verdict.reason or "", 0, set[Key]()
    for row in verdict.held():
        keys.add(row.key)
        digest ^= _digest(row)

    def put(conn: Connection) -> int | None:
        if holds.waiting(conn, connection=connection, kind=kind, digest=digest) is not None:
            return None
        return holds.hold(
            conn,
            connection=connection,
            kind=kind,
            run_id=run_id,
            reason=reason,
            summary=summary,
            now=deps.now(),
            findings=verdict.findings,
            rows=len(keys),
            digest=digest,
            absent=absent,
            read_at=read_at,
        )

    hold_id = _put(deps, connection, kind, put)
    if hold_id is None:
        return Held(keys, reason)
    for some in batches(verdict.held(), AT_ONCE):
        _keep_rows(deps, connection, kind, hold_id, some)
    log.error("batch_held", connection=connection, kind=kind, reason=reason, rows=len(keys))
    return Held(keys, reason)


def _put(deps: Deps, connection: str, kind: Kind, put: Callable[[Connection], int | None]) -> int | None:
    """``put`` in a transaction, once more where the database refuses it because another read holds the kind in this very
    moment, or because a release is being written."""

    def attempt() -> int | None:
        with deps.database.begin() as conn:
            return put(conn)

    return Retrying(
        retry=retry_if_exception_type(runs.CLASHES),
        stop=stop_after_attempt(TRIES),
        before_sleep=lambda _: finish_released(deps, connection, kind),
        reraise=True,
    )(attempt)


def _keep_rows(deps: Deps, connection: str, kind: Kind, hold_id: int, some: Sequence[JudgedRow]) -> None:
    old = bulk.old_values(deps.database, connection, kind, [row.key for row in some])
    kept = [
        (row.key, {} if row.record is None else drift.field_changes(old.get(row.key) or {}, row.record), row.record)
        for row in some
    ]
    with deps.database.begin() as conn:
        holds.add_rows(conn, hold_id, kept)


def _digest(row: JudgedRow) -> int:
    content = 0 if row.record is None else row_hash(row.record)
    text = "\x1f".join((*row.key, str(content)))
    return int.from_bytes(
        hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big", signed=True
    )


def release(deps: Deps, hold_id: int, *, believed_until: datetime | None = None) -> dict[str, Any]:
    """Write exactly the rows of a hold, but for those that somebody newer wrote since; returns the hold.

    With ``believed_until`` the rules that spoke do not hold this kind until then. Raises ``Refused`` for a hold that does
    not wait, whose rows are not all kept yet, and for a belief of more than 90 days or into the past.
    """
    now = deps.now()
    if believed_until is not None and not now < believed_until <= now + LONGEST_BELIEF:
        raise Refused(f"it can be believed until a day to come, at most {LONGEST_BELIEF.days} days from now")
    show(deps, hold_id)
    with deps.database.begin() as conn:
        if not holds.is_kept(conn, hold_id):
            raise Refused(f"hold {hold_id} has not all of its rows yet")
        _decide(deps, conn, hold_id, holds.RELEASED, believed_until)
        hold = holds.get(conn, hold_id)
    assert hold is not None  # noqa: S101 (it was just decided)
    learn_released(deps, hold["connection"], held_batch(deps, hold))
    _write(deps, hold)
    return show(deps, hold_id)


def dismiss(deps: Deps, hold_id: int) -> dict[str, Any]:
    """Keep our rows; a later implausible read is held again. Raises ``Refused`` for a hold that does not wait."""
    with deps.database.begin() as conn:
        _decide(deps, conn, hold_id, holds.DISMISSED, None)
    return show(deps, hold_id)


def show(deps: Deps, hold_id: int) -> dict[str, Any]:
    """A hold with some of its rows, before and after. Raises ``Refused`` if there is none that the caller may see."""
    with deps.database.read() as conn:
        hold = holds.get(conn, hold_id)
        if hold is None or not deps.who.sees(hold["connection"]):
            raise Refused(f"there is no hold {hold_id}")
        sample = holds.rows(conn, hold_id, Kind(hold["kind"]), limit=SHOWN)
    return {**hold, "sample": [_shown(Kind(hold["kind"]), row) for row in sample]}


def list_(deps: Deps, connection: str | None = None) -> list[dict[str, Any]]:
    """The holds that wait, oldest first, of what the caller may see."""
    with deps.database.read() as conn:
        return [hold for hold in holds.open_(conn, connection) if deps.who.sees(hold["connection"])]


def finish_released(deps: Deps, connection: str, kind: Kind) -> None:
    """Go on with a release whose process died: before the kind is read anew."""
    with deps.database.read() as conn:
        hold_id = holds.released(conn, connection, kind)
        hold = None if hold_id is None else holds.get(conn, hold_id)
    if hold is not None:
        _write(deps, hold)


def _decide(deps: Deps, conn: Connection, hold_id: int, state: str, believed_until: datetime | None) -> None:
    hold = holds.get(conn, hold_id)
    if hold is None or not deps.who.sees(hold["connection"]):
        raise Refused(f"there is no open hold {hold_id}")
    if not holds.close(conn, hold_id, state, believed_until=believed_until):
        raise Refused(f"there is no open hold {hold_id}; it is {hold['state']}")
    after: dict[str, Any] = {"state": state}
    if believed_until is not None:
        after["believed_until"] = believed_until.isoformat()
    audit.note(
        deps,
        conn,
        f"holds.{state}",
        f"hold {hold_id}",
        connection=hold["connection"],
        before={"state": holds.HELD, "rows": hold["rows"], "reason": hold["reason"]},
        after=after,
    )


def _write(deps: Deps, hold: dict[str, Any]) -> None:
    kind, read_at = Kind(hold["kind"]), hold["read_at"] or hold["held_at"]
    for some in _all_rows(deps, hold["id"], kind):
        deps.database.transact(partial(_write_some, deps, hold, kind, some, read_at))
    with deps.database.begin() as conn:
        holds.applied(conn, hold["id"])


def _write_some(
    deps: Deps, hold: dict[str, Any], kind: Kind, some: Sequence[HeldRow], read_at: datetime, conn: Connection
) -> None:
    connection, now = hold["connection"], deps.now()
    records = [row.record for row in some if row.record is not None]
    if records:
        catalog.apply(conn, connection, records, read_at=read_at, now=now)
    ended = sorted(row.key for row in some if row.record is None)
    catalog.close_rows(
        conn, kind, Absent(hold["absent"] or Absent.DELETED), connection, ended, read_at=read_at, now=now
    )


def _all_rows(deps: Deps, hold_id: int, kind: Kind) -> Iterator[list[HeldRow]]:
    after = 0
    while True:
        with deps.database.read() as conn:
            some = holds.rows(conn, hold_id, kind, after=after, limit=AT_ONCE)
        if not some:
            return
        yield some
        after = some[-1].id


def held_batch(deps: Deps, hold: dict[str, Any], but: Set[Key] = frozenset()) -> Batch:
    """The rows of a hold as the guard sees them, without some."""
    kind = Kind(hold["kind"])
    records, ends = Spool(kind), list[Key]()
    for row in (row for some in _all_rows(deps, hold["id"], kind) for row in some):
        if row.key in but:
            continue
        if row.record is None:
            ends.append(row.key)
        else:
            records.add("", row.record, 0)
    return Batch(kind, (records,), ends, zero=hold["absent"] == Absent.ZERO, asked=True)


def leave_out(deps: Deps, hold: dict[str, Any], keys: Set[Key]) -> None:
    """Rows of a hold that a later answer has shown otherwise are not to be released any more."""
    kind = Kind(hold["kind"])
    with deps.database.begin() as conn:
        held = holds.rows_of(conn, hold["id"], kind, sorted({key[0] for key in keys}))
        out = {row.id: _digest(JudgedRow(row.key, row.record, Trait.ANY)) for row in held if row.key in keys}
        holds.drop_rows(conn, hold["id"], out)


def owe_rest(deps: Deps, hold: dict[str, Any], but: Set[Key]) -> None:
    """Ask anew for the items of a hold that has ended, but for some rows: what brought them was settled as held."""
    rest = held_batch(deps, hold, but)
    ids = sorted({*(key_of(record)[0] for record in rest), *(key[0] for key in rest.vanished)})
    for some in batches(ids, AT_ONCE):
        with deps.database.begin() as conn:
            changes = [Change(rest.kind, id) for id in some]
            fresh = owed.remember(conn, hold["connection"], changes, Cause.LOOKUP, deps.now())
        deps.queue.wake(fresh)


def _shown(kind: Kind, row: HeldRow) -> dict[str, Any]:
    """Of a row that is new only what it says beside its key."""
    names = sql.shape(kind).keys
    is_new = names[0] in row.fields
    fields = {
        name: [before, after]
        for name, (before, after) in row.fields.items()
        if not is_new or (name not in names and after not in (None, False))
    }
    return {"key": "/".join(row.key), "new": is_new, "ends": row.record is None, "fields": fields}
