"""Checks everything that an installation needs, one finding after the other: database, queue, vendors, webhooks, mail."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.domain import Kind
from app.errors import Unavailable
from app.flows.connections import connections
from app.flows.connections.checks import one_line
from app.flows.connections.kind_checks import State, may_read
from app.flows.connections.set_up import prefix_of
from app.flows.connections.webhook_checks import check_webhooks
from app.flows.deps import Deps, check_visible
from app.flows.reports.status import MAX_SKEW, readiness
from app.rules.calls.lanes import Lane, lane
from app.sources.base import Source


@dataclass(frozen=True)
class Finding:
    """The result of a check: what it is about, the state, what was seen, and, if something is wrong, what to do."""

    about: str
    state: State
    said: str
    todo: str = ""


def check_all(deps: Deps, connection: str | None = None, *, mail: bool = False) -> Iterator[Finding]:
    """Check everything, or one connection; ``mail`` sends a test mail. Each finding is yielded as soon as it is made.

    Raises ``NotFound`` for an unknown connection.
    """
    if connection is not None:
        check_visible(deps, connection)
    if connection is None:
        yield from _installation(deps)
        yield _mail(deps, send=mail)
    for slug in [connection] if connection is not None else sorted(deps.sources):
        yield from _connection(deps, slug, deps.sources[slug])


def _installation(deps: Deps) -> Iterator[Finding]:
    checks = readiness(deps)
    if not checks.database:
        yield Finding("database", State.WRONG, "does not answer", "look at its log, and at TALLYHOOK_DATABASE_URL")
        return
    if checks.migrations:
        yield Finding("database", State.WELL, f"{deps.database.dialect}, with today's schema")
    else:
        yield Finding("database", State.WRONG, "its schema is not this program's", "run `tallyhook migrate`")
    skew = checks.clock_ahead_seconds
    if checks.clock:
        yield Finding("clock", State.WELL, f"this host is within {MAX_SKEW:g} s of the database")
    else:
        yield Finding("clock", State.WRONG, f"this host is {skew:+} s off the database", "switch its time service on")
    if checks.queue:
        yield Finding("queue", State.WELL, "answers")
    else:
        yield Finding(
            "queue",
            State.WRONG,
            "does not answer: the sweep finds items, a few seconds later",
            "look at TALLYHOOK_REDIS_URL",
        )
    if checks.workers and checks.clocks:
        yield Finding("processes", State.WELL, f"workers: {checks.workers}, clocks: {checks.clocks}")
    else:
        yield Finding("processes", State.NOTE, "no worker or no clock runs", "start them: `tallyhook up`")


def _mail(deps: Deps, *, send: bool) -> Finding:
    if deps.mail is None:
        what = "TALLYHOOK_SENDGRID_API_KEY, TALLYHOOK_MAIL_FROM and TALLYHOOK_MAIL_TO"
        return Finding("mail", State.NOTE, "alerts are not mailed", f"set {what}")
    if not send:
        return Finding("mail", State.NOTE, "is set up and was not tried", "`tallyhook check --mail` sends a mail")
    try:
        deps.mail("Tallyhook: a test mail", "Somebody ran `tallyhook check --mail`. Alerts arrive here.")
    except Unavailable as error:
        return Finding("mail", State.WRONG, one_line(str(error)), "look at the key and the sender's address")
    return Finding("mail", State.WELL, "the mail service accepted a test mail")


def _connection(deps: Deps, slug: str, source: Source) -> Iterator[Finding]:
    checked = connections.check(deps, slug)
    if not checked.answers:
        todo = f"look at the options {prefix_of(slug)}..., or `tallyhook init {source.name} --name {slug} --replace`"
        yield Finding(slug, State.WRONG, checked.said, todo)
        return
    yield Finding(slug, State.WELL, checked.said)
    with lane(Lane.PERSON):
        for kind in source.kinds:
            yield _kind(deps, slug, source, kind)
        for check in check_webhooks(deps, slug, source):
            yield Finding(f"{slug} webhooks", *check)
    limits = ", ".join(f"{limit.calls} calls in {limit.seconds:g} s" for limit in source.budget())
    if limits:
        yield Finding(f"{slug} budget", State.WELL, limits)


def _kind(deps: Deps, slug: str, source: Source, kind: Kind) -> Finding:
    check = may_read(source, kind, deps.now(), deps.redact)
    return Finding(f"{slug} {kind}", check.state, check.said, check.todo)
