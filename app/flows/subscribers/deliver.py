"""Sends the feed of changes to subscribers: to each in order and at least once, by one process at a time.

A batch is fixed in the database before it is sent, so that every attempt sends the same rows under the same id.
"""

import random
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import structlog
from sqlalchemy import Connection

from app.channels import webhook
from app.channels.webhook import Answer
from app.errors import BadConfiguration, DatabaseFault, Unavailable
from app.flows.catalog.changes import Change, Changes, change_of
from app.flows.deps import Deps
from app.rules import subscribers as rules
from app.stores import history, subscribers
from app.stores.history import Cursor
from app.stores.subscribers import Subscriber
from app.stores.upkeep import alerts

BATCH_SIZE = 500
"""Rows in a message at most."""

LEASE = timedelta(minutes=2)
"""How long one process has for a message before another may send it: much longer than a message may take."""

MAX_BATCHES = 100
"""Messages that a thread sends to one subscriber before others get their turn."""

THREADS = threading.BoundedSemaphore(16)
"""Subscribers that a process sends to at once; each holds a database connection only before and after a message."""

LOST = "lost"
"""The type of a message that says: the changes since the last one are gone, read all items again."""

QUOTED = 200
"""Characters of an answer that are kept."""

_encode = msgspec.json.Encoder(decimal_format="string").encode

log = structlog.get_logger()


class Message(msgspec.Struct, frozen=True):
    """What is sent. ``type`` is ``changes``, ``LOST`` (the changes behind the cursor are gone: read all items again) or
    ``test``."""

    type: str
    timestamp: datetime
    data: Changes


class Batch(NamedTuple):
    """A message to a subscriber who is leased to us."""

    subscriber: Subscriber
    id: str
    body: bytes


def deliver_in_background(deps: Deps) -> None:
    """Send to every subscriber that is due, in threads of their own: one that hangs must not stop the clock or others."""
    for id in waiting(deps):
        if not THREADS.acquire(blocking=False):
            return
        threading.Thread(target=_deliver_logged, args=(deps, id), name=f"subscriber-{id}", daemon=True).start()


def waiting(deps: Deps) -> list[int]:
    """The ids of subscribers that have something to get now; those that answered last come first."""
    with deps.database.read() as conn:
        due = subscribers.due(conn, deps.now())
        end = str(history.end(conn)) if due else ""
    return [one.id for one in due if one.batch_end is not None or one.cursor != end]


def deliver(deps: Deps, id: int) -> int:
    """Send to one subscriber until it has everything, or does not accept; returns how many batches it accepted."""
    for count in range(MAX_BATCHES):
        batch = claim(deps, id)
        if batch is None or not settle(deps, batch, _attempt(deps, batch)):
            return count
    return MAX_BATCHES


def claim(deps: Deps, id: int) -> Batch | None:
    """Lease a subscriber, and fix its next batch; ``None`` if it is not due, leased to another, or has everything."""
    now = deps.now()

    def claimed(conn: Connection) -> Batch | None:
        one = subscribers.lease(conn, id, now=now, until=now + LEASE)
        return None if one is None else _next_batch(conn, one, now)

    return deps.database.transact(claimed)


def send(deps: Deps, subscriber: Subscriber, id: str, body: bytes) -> Answer:
    """Sign and send a message. Raises ``Unavailable`` if no answer came, and ``BadConfiguration`` without the secret."""
    secret = deps.encryption.decrypt(subscriber.secret)
    return webhook.post(subscriber.url, body, rules.signed(id, body, secret, int(deps.now().timestamp())))


def settle(deps: Deps, batch: Batch, answer: Answer | str) -> bool:
    """Record an answer, or why there was none; returns whether the batch was accepted."""
    one, now = batch.subscriber, deps.now()
    if not isinstance(answer, str) and answer.good:
        return deps.database.transact(lambda conn: subscribers.accepted(conn, one, now))
    said = answer if isinstance(answer, str) else said_by(answer)
    error = deps.redact(said).replace("\x00", "")
    since = one.failing_since or now
    gone = not isinstance(answer, str) and answer.status == rules.GONE
    disable = gone or now - since >= rules.GIVE_UP
    next_at = now + rules.wait_after(one.attempts + 1, random.random())  # noqa: S311

    def failed(conn: Connection) -> None:
        if subscribers.refused(conn, one, error, now=now, next_at=next_at, disable=disable) and disable:
            _raise_disabled(conn, one, error, since, now)

    deps.database.transact(failed)
    log.warning("not_delivered", subscriber=one.id, attempts=one.attempts + 1, disabled=disable, error=error)
    return False


def said_by(answer: Answer) -> str:
    """An answer in a few words."""
    return f"answered {answer.status}: {answer.text[:QUOTED]}".removesuffix(": ")


def alert_key(id: int) -> str:
    """The key of the alert that a subscriber was disabled."""
    return f"subscriber:{id}"


def message(type: str, at: datetime, rows: Sequence[Change], cursor: str) -> bytes:
    """The body of a ``Message``."""
    return _encode(Message(type, at, Changes(list(rows), cursor)))


def _next_batch(conn: Connection, one: Subscriber, now: datetime) -> Batch | None:
    """The batch that was fixed before, else the next one, which this fixes."""
    cursor, end = Cursor.parse(one.cursor), history.end(conn)
    if not history.leads_on(conn, cursor):
        if not (one.batch_id or "").startswith(LOST):
            one = subscribers.keep_batch(conn, one, id=rules.new_id(LOST), end=str(end))
        return Batch(one, one.batch_id or "", message(LOST, now, [], one.batch_end or ""))
    until = None if one.batch_end is None else Cursor.parse(one.batch_end)
    rows, reached = history.after(conn, cursor, one.connections, BATCH_SIZE, kinds=one.kinds, until=until)
    if not rows:
        subscribers.skip(conn, one, str(until or reached))
        return None
    if until is None:
        one = subscribers.keep_batch(conn, one, id=rules.new_id(), end=str(reached))
    changes = [change_of(row) for row in rows]
    return Batch(one, one.batch_id or "", message("changes", rows[-1].recorded_at, changes, one.batch_end or ""))


def _attempt(deps: Deps, batch: Batch) -> Answer | str:
    try:
        return send(deps, *batch)
    except (Unavailable, BadConfiguration) as error:
        return str(error)


def _raise_disabled(conn: Connection, one: Subscriber, error: str, since: datetime, now: datetime) -> None:
    detail = (
        f"{one.name} got no change since {since:%Y-%m-%d %H:%M} UTC, and is disabled: {error}. When it works again: "
        f"tallyhook subscribers resume {one.id}"
    )
    title = f"subscriber {one.name} is disabled"
    alerts.raise_(conn, alert_key(one.id), title=title, detail=detail, severity="warning", now=now)


def _deliver_logged(deps: Deps, id: int) -> None:
    try:
        deliver(deps, id)
    except DatabaseFault:  # logged once, by the database; the lease runs out
        pass
    except Exception as error:  # the same
        log.warning("not_delivered", subscriber=id, error=f"{type(error).__name__}: {error}")
    finally:
        THREADS.release()
