"""Checks whether webhooks arrive: compares what is registered at the vendor, the URL that signatures are computed over,
the public URL, and where deliveries really arrived; says which differs, and what to do."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from app.errors import AuthRejected, TallyhookError
from app.flows.connections.checks import one_line
from app.flows.connections.kind_checks import State
from app.flows.connections.set_up import prefix_of
from app.flows.deps import Deps
from app.rules.inbox.arriving import differs, host_in, is_elsewhere
from app.sources.base import Addressed, Source, Subscription, Subscriptions
from app.stores.inbox import inbox, refusals

RECENT = timedelta(days=1)


class WebhookCheck(NamedTuple):
    """The result of a check: the state, what was seen, and what to do."""

    state: State
    said: str
    todo: str = ""


def check_webhooks(deps: Deps, slug: str, source: Source) -> Iterator[WebhookCheck]:
    """What we know of a connection's webhooks; calls the vendor if it can list its subscriptions."""
    if source.receiver is None:
        todo = f"`tallyhook init {source.name} --name {slug} --replace` sets them up"
        yield WebhookCheck(State.NOTE, "no secret is set: none are accepted, changes arrive by polls", todo)
        return
    yield _sent(deps, slug, source)
    arrived = _arrived(deps, slug, source)
    if arrived is not None:
        yield arrived


def _sent(deps: Deps, slug: str, source: Source) -> WebhookCheck:
    if not isinstance(source, Subscriptions):
        return WebhookCheck(
            State.WELL, "are accepted; only `tallyhook inbox list` can show whether anybody sends them"
        )
    try:
        if isinstance(source, Addressed):
            return agreed(slug, source.name, source.signed_url, source.registrations(), deps.public_url)
        return _enabled(source.subscriptions())
    except AuthRejected:
        return WebhookCheck(State.NOTE, "are accepted; these credentials may not ask whether the vendor sends any")
    except TallyhookError as error:
        return WebhookCheck(State.WRONG, one_line(deps.redact(str(error))))


def _enabled(subscriptions: Sequence[Subscription]) -> WebhookCheck:
    enabled = [subscription.name for subscription in subscriptions if subscription.enabled]
    if enabled:
        return WebhookCheck(State.WELL, f"the vendor sends them for {', '.join(enabled)}")
    if subscriptions:
        return WebhookCheck(State.WRONG, f"{subscriptions[0].name} is disabled at the vendor", "enable it there")
    return WebhookCheck(
        State.WRONG, "the vendor has no subscription that leads here", "register the URL that `up` prints"
    )


def agreed(slug: str, name: str, signed: str, registered: Sequence[Subscription], public: str | None) -> WebhookCheck:
    """Whether the registered URL is the one we expect, byte for byte, because it is part of what is signed."""
    exact = [subscription for subscription in registered if subscription.url == signed]
    if exact:
        return _exact(slug, name, exact, signed, public)
    again = f"`tallyhook init {name} --name {slug} --replace` registers ours"
    here = [subscription for subscription in registered if subscription.url.rstrip("/").endswith(f"/webhooks/{slug}")]
    if not here:
        there = (
            f" (registered: {', '.join(subscription.url for subscription in registered[:3])})" if registered else ""
        )
        return WebhookCheck(State.WRONG, f"the vendor has no subscription that leads to {signed}{there}", again)
    other = min(
        here, key=lambda subscription: (subscription.url.rstrip("/") != signed.rstrip("/"), not subscription.enabled)
    )
    said = (
        f"{other.url} is registered at the vendor, but signatures are expected over {signed}: the "
        f"{differs(other.url, signed)} differs, so every delivery is refused"
    )
    if public is None:
        return WebhookCheck(
            State.WRONG, said, f"set TALLYHOOK_PUBLIC_URL to the address by which the outside reaches us, or {again}"
        )
    return WebhookCheck(State.WRONG, said, f"set {prefix_of(slug)}WEBHOOK_URL={other.url}, or {again}")


def _exact(slug: str, name: str, exact: Sequence[Subscription], signed: str, public: str | None) -> WebhookCheck:
    on = [subscription for subscription in exact if subscription.enabled]
    again = f"`tallyhook init {name} --name {slug} --replace`"
    if not on:
        return WebhookCheck(
            State.WRONG, f"{exact[0].name} is disabled at the vendor", f"enable it there, or by {again}"
        )
    lacking = on[0].lacking
    if lacking:
        return WebhookCheck(State.WRONG, f"{on[0].name} does not send {', '.join(lacking)}", f"{again} adds them")
    ours = None if public is None else f"{public.rstrip('/')}/webhooks/{slug}"
    if ours is not None and (parts := differs(signed, ours)) not in ("", "slash at the end"):
        said = f"{signed} is registered and signed over, while the public URL makes it {ours}: the {parts} differs"
        return WebhookCheck(
            State.NOTE, said, "this is fine as long as both lead here; otherwise change TALLYHOOK_PUBLIC_URL"
        )
    return WebhookCheck(
        State.WELL, f"the vendor sends them to {signed} for {', '.join(subscription.name for subscription in on)}"
    )


def _arrived(deps: Deps, slug: str, source: Source) -> WebhookCheck | None:
    """Where the last deliveries arrived; ``None`` if none did."""
    signed = source.signed_url if isinstance(source, Addressed) else deps.public_url
    now = deps.now()
    with deps.database.read() as conn:
        last = inbox.latest(conn, slug)
        refused = refusals.latest(conn, slug)
    if refused is not None and refused.at > now - RECENT and (last is None or last.received_at < refused.at):
        heard = last is not None and last.received_at > now - RECENT
        said = f"the last delivery was refused at {refused.at:%F %T}: {one_line(deps.redact(refused.reason))}"
        todo = "check that the secret belongs to this subscription, and that the registered URL is the expected one"
        return WebhookCheck(State.NOTE if heard else State.WRONG, said, todo)
    if last is None:
        return None
    said, host = f"the last delivery arrived at {last.received_at:%F %T}", host_in(last.headers)
    if signed is not None and is_elsewhere(host, signed):
        said = f"{said} to {host}, though {signed} is expected; its signature was right, so this is fine"
        return WebhookCheck(State.NOTE, said, "unless a proxy changes the host, somebody still uses an old address")
    return WebhookCheck(State.WELL, said)
