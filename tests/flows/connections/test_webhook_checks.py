"""The URL that is registered, the one that is signed over, the public one, and where deliveries arrive: do they agree?"""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain import Delivery
from app.flows.connections.kind_checks import State
from app.flows.connections.webhook_checks import WebhookCheck, check_webhooks
from app.flows.upkeep import alerts
from app.sources.base import Subscription
from app.stores.inbox import inbox, refusals
from app.stores.inbox.inbox import Arrival
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World

PUBLIC = "https://hooks.example.com"
OURS = f"{PUBLIC}/webhooks/{SHOP}"


class Selling(FakeSource):
    """A vendor that tells which subscriptions there are; deliveries are signed over their URL."""

    found: tuple[Subscription, ...] = ()
    signed_url = OURS

    def subscriptions(self) -> tuple[Subscription, ...]:
        return tuple(one for one in self.found if one.url == self.signed_url)

    def registrations(self) -> tuple[Subscription, ...]:
        return self.found


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def checks_of(
    world: World, *urls: str, signed: str = OURS, public: str | None = PUBLIC, **more: object
) -> list[WebhookCheck]:
    source = Selling()
    source.signed_url = signed
    source.found = tuple(Subscription("ours", url, True)._replace(**more) for url in urls)  # type: ignore[arg-type]
    return list(check_webhooks(replace(world.deps, public_url=public), SHOP, source))


def receive(world: World, **headers: str) -> None:
    arrival = Arrival(SHOP, Delivery("e1", "changed"), headers, b"{}", world.deps.now())
    with world.deps.database.begin() as conn:
        inbox.accept(conn, [arrival])


def refused(world: World, hours_ago: float = 0.0) -> None:
    with world.deps.database.begin() as conn:
        at = world.deps.now() - timedelta(hours=hours_ago)
        refusals.note(conn, SHOP, at, "the signature does not match; it came to https://old.example.com/x")


def test_where_all_agree_all_is_well(world: World) -> None:
    (one,) = checks_of(world, OURS)
    assert (one.state, OURS in one.said) == (State.WELL, True)


def test_a_slash_that_is_registered_and_not_expected_refuses_every_delivery(world: World) -> None:
    (one,) = checks_of(world, f"{OURS}/")
    assert (one.state, "slash at the end differs" in one.said) == (State.WRONG, True)
    assert f"TALLYHOOK_CONNECTIONS__SHOP__WEBHOOK_URL={OURS}/" in one.todo


def test_a_slash_that_is_registered_and_expected_is_well(world: World) -> None:
    (one,) = checks_of(world, f"{OURS}/", signed=f"{OURS}/")
    assert one.state is State.WELL


def test_another_host_that_is_registered_is_named(world: World) -> None:
    (one,) = checks_of(world, f"https://old.example.com/webhooks/{SHOP}")
    assert (one.state, "host differs" in one.said) == (State.WRONG, True)


def test_without_a_public_url_it_is_said_to_set_it(world: World) -> None:
    (one,) = checks_of(world, OURS, signed=f"http://127.0.0.1:8000/webhooks/{SHOP}", public=None)
    assert (one.state, "set TALLYHOOK_PUBLIC_URL" in one.todo) == (State.WRONG, True)


def test_a_subscription_that_leads_elsewhere_is_none_of_ours(world: World) -> None:
    (one,) = checks_of(world, "https://other.example.com/hooks")
    assert (one.state, "no subscription that leads to" in one.said) == (State.WRONG, True)
    assert "https://other.example.com/hooks" in one.said


def test_a_public_url_that_says_otherwise_is_shown_and_no_fault(world: World) -> None:
    (one,) = checks_of(world, OURS, public="https://new.example.com")
    assert (one.state, "host differs" in one.said) == (State.NOTE, True)


def test_a_disabled_one_is_wrong(world: World) -> None:
    (one,) = checks_of(world, OURS, enabled=False)
    assert (one.state, "disabled" in one.said) == (State.WRONG, True)


def test_events_that_are_not_sent_are_named(world: World) -> None:
    (one,) = checks_of(world, OURS, lacking=("order.created",))
    assert (one.state, "does not send order.created" in one.said) == (State.WRONG, True)


def test_a_delivery_that_came_is_shown(world: World) -> None:
    receive(world, host="hooks.example.com")
    assert [one.state for one in checks_of(world, OURS)] == [State.WELL, State.WELL]


def test_a_delivery_that_came_to_another_name_is_shown(world: World) -> None:
    receive(world, **{"host": "10.0.0.1", "x-forwarded-host": "old.example.com"})
    one = checks_of(world, OURS)[1]
    assert (one.state, "to old.example.com" in one.said) == (State.NOTE, True)


def test_a_refused_delivery_with_none_heard_is_wrong_and_says_where_it_came_to(world: World) -> None:
    refused(world)
    one = checks_of(world, OURS)[1]
    assert (one.state, "https://old.example.com/x" in one.said) == (State.WRONG, True)


def test_a_refused_delivery_after_one_that_was_heard_may_be_a_strangers(world: World) -> None:
    receive(world)
    refused(world, hours_ago=-0.01)
    assert checks_of(world, OURS)[1].state is State.NOTE


def test_a_delivery_that_was_refused_before_one_was_heard_is_over(world: World) -> None:
    refused(world, hours_ago=1)
    receive(world)
    assert [one.state for one in checks_of(world, OURS)] == [State.WELL, State.WELL]


def test_an_alert_names_what_differs(world: World) -> None:
    source = Selling()
    source.found = (Subscription("ours", f"{OURS}/", True),)
    deps = replace(world.deps, sources={SHOP: source}, public_url=PUBLIC)
    alerts.check_subscriptions(deps)
    (one,) = alerts.list_alerts(deps)
    assert "slash at the end differs" in one.detail
