"""Raises alerts for what a person should know, and mails each once."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from operator import attrgetter

import structlog

from app.domain import Status
from app.errors import AuthRejected, DatabaseFault, TallyhookError, Transient
from app.flows.connections.health import blocked
from app.flows.connections.webhook_checks import agreed
from app.flows.deps import Deps
from app.flows.isolated import isolated
from app.flows.items.dead_letter import RUN_ACTOR
from app.flows.letters.letters import conditions, terms_of
from app.flows.upkeep.connection_alerts import watch_connections
from app.flows.upkeep.raise_alert import close_alert, raise_alert, raise_over
from app.rules.calls.calling import PROBE, calling_for
from app.sources.base import Addressed, Source, Subscriptions
from app.stores.inbox import inbox_search, outages
from app.stores.inbox.rows import Outage
from app.stores.letters import letter_search
from app.stores.runs import runs
from app.stores.upkeep import alerts
from app.stores.upkeep.alerts import Alert

CLAIM = timedelta(minutes=5)
"""How long one clock has to send a mail before another may: after a crash a mail may be sent twice, but is never lost."""

NEAR_DISCARD = timedelta(hours=16)
"""Vendors give up a delivery after a day; a person must know in time to act."""

MAX_CAUSES = 20
"""Open alerts about letters; causes with the most letters go first."""

OF_CONNECTIONS = ("run:", "discard:", "subscription:", "gap:")
"""The prefixes of alerts that only the rounds of their connection close."""

RUNS = 50
"""The latest runs of a connection that are looked at for one that failed."""

MAX_MAILS = 10
"""Mails per round."""

log = structlog.get_logger()


def watch(deps: Deps) -> None:
    """Raise and close alerts about connections that do not work, dead letters by cause, failed runs, and deliveries that
    vendors are about to give up. Those about connections that were removed from the settings close. A failure
    about one of them stops none of the others."""
    rounds: dict[str, Callable[[], object]] = {
        "connections": partial(watch_connections, deps),
        "letters": partial(_letters, deps),
    }
    for name in deps.sources:
        rounds[f"{name}: deliveries"] = partial(_near_discard, deps, name)
        rounds[f"{name}: runs"] = partial(_failed_run, deps, name)
    rounds["removed connections"] = partial(_of_removed, deps)
    isolated(lambda name: rounds[name](), rounds, event="not_watched")


def check_subscriptions(deps: Deps) -> None:
    """Ask every vendor that can tell whether it still sends webhooks to us, except those that must not be called now."""
    isolated(partial(_check_subscription, deps), deps.sources, event="subscription_unknown")


def _check_subscription(deps: Deps, connection: str) -> None:
    source = deps.sources[connection]
    if source.receiver is None or not isinstance(source, Subscriptions) or blocked(deps, connection):
        return
    key = f"subscription:{connection}"
    try:
        with calling_for(PROBE):
            subscriptions = source.subscriptions()
            why_none = "" if subscriptions else _why_none(deps, connection, source)
    except AuthRejected as error:  # the token may not ask; that is no fault of the subscription
        log.info("subscription_unknown", connection=connection, error=str(error))
        return
    except DatabaseFault:
        raise
    except Transient:
        return
    off = [one.name for one in subscriptions if not one.enabled]
    if off:
        detail = (
            f"{', '.join(off)} is disabled at the vendor: no webhooks come. Enable it there; polls go on meanwhile."
        )
        raise_alert(deps, key, f"{connection}: webhook subscription disabled", detail, "critical", connection)
    elif not subscriptions:
        detail = f"{why_none}; only polls bring changes."
        raise_alert(deps, key, f"{connection}: no webhook subscription of ours", detail, "warning", connection)
    else:
        close_alert(deps, key)


def _why_none(deps: Deps, connection: str, source: Source) -> str:
    """Why no subscription sends events here, as precisely as we know."""
    if not isinstance(source, Addressed):
        return "the vendor has no webhook subscription that leads to our public URL"
    finding = agreed(connection, source.name, source.signed_url, source.registrations(), deps.public_url)
    return f"{finding.said}; {finding.todo}"


def gap_is_open(deps: Deps, outage: Outage, sentence: str) -> None:
    """An alert that no events arrive although some are expected."""
    connection = outage.connection
    title = f"{connection}: no webhooks"
    raise_alert(deps, f"gap:{outage.id}", title, f"{connection}: {sentence}.", "warning", connection)


def gap_is_over(deps: Deps, outage: Outage, sentence: str) -> None:
    """The end of an outage, and what became of its events."""
    close_alert(deps, f"gap:{outage.id}")
    with deps.database.begin() as conn:
        title, detail = f"{outage.connection}: gap closed", f"{outage.connection}: {sentence}."
        raise_over(deps, conn, f"gap:{outage.id}", title, detail, outage.connection)


def notify(deps: Deps) -> int:
    """Mail alerts that nobody was notified of; returns how many. Without a mail channel alerts are rows only. A failed
    mail is retried after ``CLAIM``."""
    sent = 0
    while deps.mail is not None and sent < MAX_MAILS:
        now = deps.now()
        with deps.database.begin() as conn:
            alert = alerts.claim(conn, now, now + CLAIM)
        if alert is None:
            break
        try:
            deps.mail(f"[tallyhook] {'over: ' if _ended_untold(alert) else ''}{alert.title}", _text(deps, alert))
        except TallyhookError as error:
            log.warning("not_mailed", alert=alert.id, error=str(error))
            break
        with deps.database.begin() as conn:
            alerts.mark_notified(conn, alert.id, deps.now())
        sent += 1
    return sent


def list_alerts(deps: Deps, *, limit: int = 50, before_id: int | None = None) -> list[Alert]:
    """The alerts that the caller may see, newest first."""
    with deps.database.read() as conn:
        return alerts.latest(conn, connections=deps.principal.connections, limit=limit, before_id=before_id)


def _letters(deps: Deps) -> None:
    """One alert per connection and cause while there are dead letters of it, with their present number. Those of failed runs
    are left out: a failed run has an alert of its own."""
    with deps.database.read() as conn:
        where, reads = conditions(deps, conn, terms_of(""))
        others = [*where, ~letter_search.of_failed_run(RUN_ACTOR)]
        groups = letter_search.by_cause(conn, others, reads, limit=MAX_CAUSES)
        known = alerts.open_keys(conn, "letters:")
    keys = {f"letters:{group.connection or ''}:{group.cause}": group for group in groups}
    for key, group in keys.items():
        whose, letters, items = group.connection or "no connection", group.letters, group.items
        title = f"{whose}: {letters} dead {'letter' if letters == 1 else 'letters'}: {group.error_type}"
        detail = f"{letters} letters of {items} items of {whose} died of {group.cause}: {group.error}"
        raise_alert(deps, key, title, detail, "warning", group.connection)
    for key in set(known) - set(keys):
        if len(keys) < MAX_CAUSES:
            close_alert(deps, key)


def _failed_run(deps: Deps, connection: str) -> None:
    """Alert if of some strategy the latest run that was not cancelled failed; one that smart chose counts as that."""
    with deps.database.read() as conn:
        ended = [
            run for run in runs.latest(conn, connection, RUNS) if run.status in (Status.COMPLETED, Status.FAILED)
        ]
    newest = {run.checkpoint.chosen or run.strategy: run for run in reversed(ended)}
    failed = max((run for run in newest.values() if run.status is Status.FAILED), key=attrgetter("id"), default=None)
    key = f"run:{connection}"
    if failed is not None:
        detail = f"run {failed.id} ({failed.strategy}) of {connection} failed: {failed.error}"
        raise_alert(deps, key, f"{connection}: a run failed", detail, "warning", connection)
    else:
        close_alert(deps, key)


def _of_removed(deps: Deps) -> None:
    """Close the alerts about connections that are not configured any more."""
    with deps.database.read() as conn:
        keys = alerts.open_beside(conn, deps.sources)
    for key in keys:
        if key.startswith(OF_CONNECTIONS):
            close_alert(deps, key)


def _near_discard(deps: Deps, connection: str) -> None:
    """Alert if a delivery took most of a day to reach us, or an outage lasts as long: the vendor may give up the next
    ones."""
    key, now = f"discard:{connection}", deps.now()
    receiver = deps.sources[connection].receiver
    oldest = timedelta(0)
    with deps.database.read() as conn:
        for outage in outages.latest(conn, connections=frozenset({connection}), limit=5):
            if outage.state == "open":
                oldest = max(oldest, now - outage.began_at)
        first_sent = getattr(receiver, "first_sent", None)
        if first_sent is not None:
            for headers, received_at in inbox_search.latest_headers(conn, connection, now - timedelta(hours=1), 50):
                sent = first_sent(headers)
                oldest = max(oldest, received_at - sent if sent is not None else timedelta(0))
    if oldest >= NEAR_DISCARD:
        hours = oldest.total_seconds() / 3600
        detail = f"deliveries of {connection} are {hours:.0f} h old; the vendor gives up on them after 24 h."
        raise_alert(
            deps, key, f"{connection}: the vendor is about to give up deliveries", detail, "critical", connection
        )
    else:
        close_alert(deps, key)


def _ended_untold(alert: Alert) -> bool:
    """Whether the trouble was over before anybody was notified of it: one mail then says both."""
    return alert.closed_at is not None and not alert.key.endswith(":over")


def _text(deps: Deps, alert: Alert) -> str:
    link = f"\n\n{deps.public_url}/alerts" if deps.public_url else ""
    ended = f", over since {alert.closed_at:%Y-%m-%d %H:%M} UTC" if _ended_untold(alert) else ""
    return f"{alert.detail}\n\nSince {alert.opened_at:%Y-%m-%d %H:%M} UTC{ended} ({alert.severity}).{link}\n"
