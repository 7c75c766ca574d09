"""What people do with subscribers: create, look at, test, pause, resume and delete them."""

from collections.abc import Iterable
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from app.domain import Kind
from app.domain.decoding import convert
from app.errors import Forbidden, InvalidRequest, NotFound, Unavailable
from app.flows.access import audit
from app.flows.deps import Deps
from app.flows.subscribers.deliver import alert_key, message, said_by, send
from app.flows.upkeep.raise_alert import close_alert
from app.rules import subscribers as rules
from app.stores import history, subscribers
from app.stores.subscribers import Subscriber

LONGEST_NAME = 100


class SubscriberView(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber without its secret. ``connections`` and ``kinds`` are ``None`` for all; ``cursor`` is the place in the
    feed behind what it has accepted. It has failed ``attempts`` times since ``failing_since``."""

    id: int
    name: str
    url: str
    connections: tuple[str, ...] | None
    kinds: tuple[Kind, ...] | None
    enabled: bool
    cursor: str
    created_at: datetime
    created_by: str
    last_success_at: datetime | None
    failing_since: datetime | None
    next_at: datetime | None
    attempts: int
    last_error: str | None


class Created(msgspec.Struct, frozen=True):
    """A new subscriber, and the secret that its messages are signed with, which is shown only here."""

    subscriber: SubscriberView
    secret: str


class Tested(msgspec.Struct, frozen=True):
    """Whether a test message was accepted, and what was answered."""

    accepted: bool
    said: str


def create(
    deps: Deps, name: str, url: str, *, connections: Iterable[str] | None = None, kinds: Iterable[Kind] | None = None
) -> Created:
    """Add a subscriber that gets every change of these connections and kinds from now on.

    Raises ``InvalidRequest``, and ``BadConfiguration`` where there is no key to encrypt the secret with.
    """
    _for_all(deps)
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(f"a subscriber's name has 1 to {LONGEST_NAME} characters, in one line")
    problem = rules.url_problem(url)
    if problem is not None:
        raise InvalidRequest(problem)
    scope, wanted = _scope(deps, connections), None if kinds is None else sorted({*kinds})
    if wanted == []:
        raise InvalidRequest(f"no kind named; use one of: {', '.join(Kind)}")
    secret = rules.new_secret()
    encrypted, now = deps.encryption.encrypt(secret), deps.now()
    with deps.database.begin() as conn:
        one = subscribers.add(
            conn,
            name=name,
            url=url,
            secret=encrypted,
            connections=scope,
            kinds=wanted,
            cursor=str(history.end(conn)),
            created_at=now,
            created_by=deps.principal.name,
        )
        after = {"name": name, "url": url, "connections": scope, "kinds": wanted}
        audit.note(deps, conn, "subscribers.create", _subject(one), after=after)
    return Created(_view(one), secret)


def list_subscribers(deps: Deps) -> list[SubscriberView]:
    """Every subscriber, in the order of their ids."""
    _for_all(deps)
    with deps.database.read() as conn:
        return [_view(one) for one in subscribers.all_(conn)]


def show(deps: Deps, id: int) -> SubscriberView:
    """One subscriber; raises ``NotFound``."""
    _for_all(deps)
    with deps.database.read() as conn:
        return _view(_the_one(conn, id))


def send_test(deps: Deps, id: int) -> Tested:
    """Send a signed message of the type ``test`` now, also to one that is paused; nothing else changes. Raises ``NotFound``,
    and ``BadConfiguration`` where the secret cannot be read."""
    _for_all(deps)
    with deps.database.begin() as conn:
        one = _the_one(conn, id)
        audit.note(deps, conn, "subscribers.test", _subject(one))
    try:
        answer = send(deps, one, rules.new_id(), message("test", deps.now(), [], one.cursor))
    except Unavailable as error:
        return Tested(False, deps.redact(str(error)))
    return Tested(answer.good, deps.redact(said_by(answer)))


def pause(deps: Deps, id: int) -> SubscriberView:
    """Send nothing until it is resumed; raises ``NotFound``."""
    return _set_enabled(deps, id, enabled=False)


def resume(deps: Deps, id: int) -> SubscriberView:
    """Send everything since its last batch, from now on; ends the alert that it was disabled. Raises ``NotFound``."""
    view = _set_enabled(deps, id, enabled=True)
    close_alert(deps, alert_key(id))
    return view


def delete(deps: Deps, id: int) -> SubscriberView:
    """Forget a subscriber and its secret; returns what it was. Raises ``NotFound``."""
    _for_all(deps)
    with deps.database.begin() as conn:
        one = _the_one(conn, id)
        subscribers.remove(conn, id)
        audit.note(deps, conn, "subscribers.delete", _subject(one), before={"name": one.name, "url": one.url})
    close_alert(deps, alert_key(id))
    return _view(one)


def _set_enabled(deps: Deps, id: int, *, enabled: bool) -> SubscriberView:
    _for_all(deps)
    with deps.database.begin() as conn:
        before = _the_one(conn, id)
        subscribers.set_enabled(conn, id, enabled=enabled)
        action = "subscribers.resume" if enabled else "subscribers.pause"
        audit.note(deps, conn, action, _subject(before), before={"enabled": before.enabled})
        return _view(_the_one(conn, id))


def _the_one(conn: Connection, id: int) -> Subscriber:
    one = subscribers.get(conn, id)
    if one is None:
        raise NotFound(f"there is no subscriber {id}", "subscriber")
    return one


def _view(one: Subscriber) -> SubscriberView:
    return convert(one, SubscriberView, from_attributes=True)


def _subject(one: Subscriber) -> str:
    return f"subscriber {one.id}"


def _for_all(deps: Deps) -> None:
    """Raise ``Forbidden`` unless the caller sees all connections, as for tokens: a subscriber is a way out for all data."""
    if deps.principal.connections is not None:
        raise Forbidden("only an admin who sees all connections may look at subscribers or change them")


def _scope(deps: Deps, connections: Iterable[str] | None) -> list[str] | None:
    if connections is None:
        return None
    scope = sorted({*connections})
    unknown = [name for name in scope if name not in deps.sources]
    if unknown or not scope:
        known = ", ".join(sorted(deps.sources)) or "none"
        raise InvalidRequest(f"no connection {', '.join(unknown) or 'named'}; use one of: {known}")
    return scope
