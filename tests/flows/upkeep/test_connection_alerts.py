"""Alerts about connections: one each, which names it and says what is so now."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from app.domain import Cause, Change, Delivery, Kind, Options, Strategy
from app.errors import AuthRejected, Unavailable, VendorForbidden
from app.flows.connections import connections as people
from app.flows.connections.health import forbidden, judge
from app.flows.connections.probes import probe
from app.flows.runs.request_run import request_run
from app.flows.upkeep import alerts
from app.flows.upkeep.connection_alerts import watch_connections
from app.flows.upkeep.raise_alert import raise_alert
from app.sources.base import Subscription
from app.stores import owed
from app.stores.catalog import watermarks
from app.stores.guard import holds
from app.stores.inbox import inbox
from app.stores.inbox.inbox import Arrival
from app.stores.runs import runs
from app.stores.sql.engine import Database, open_database
from app.stores.upkeep.alerts import Alert
from tests.fakes import SHOP, FakeSource, PlainReceiver, World
from tests.letters import die, die_without_item
from tests.stores.racing import at_once

EXPIRED = AuthRejected("401 ACCESS_TOKEN_EXPIRED")
NO_RIGHT = VendorForbidden("403 INSUFFICIENT_SCOPES: the access token lacks VENDOR_READ")


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def open_alerts(world: World) -> list[Alert]:
    """Those that are open, after the watch has had its round."""
    alerts.watch(world.deps)
    return [alert for alert in alerts.list_alerts(world.deps) if alert.closed_at is None]


def the_alert(world: World) -> Alert:
    (alert,) = open_alerts(world)
    return alert


def owe(world: World, *ids: str) -> None:
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, id) for id in ids], Cause.WEBHOOK, world.clock())


def refuse(world: World) -> None:
    world.source.down = EXPIRED
    judge(world.deps, SHOP, Kind.PRODUCT, EXPIRED)


def answer(world: World) -> None:
    world.source.down = None
    world.clock.pass_(600)
    probe(world.deps)


# --- a connection ---


def test_a_refused_connection_is_named_with_the_vendors_words_and_what_waits(world: World) -> None:
    refuse(world)
    owe(world, "A", "B")
    alert = the_alert(world)
    assert (alert.key, alert.connection, alert.severity) == (f"connection:{SHOP}", SHOP, "critical")
    assert alert.detail == (
        f"{SHOP} has refused our credentials since 2026-06-01 12:00 UTC (401 ACCESS_TOKEN_EXPIRED); 2 items wait; "
        "it is called again at 12:00 UTC."
    )


def test_the_alert_follows_what_waits(world: World) -> None:
    refuse(world)
    the_alert(world)
    owe(world, "A", "B", "C")
    assert "3 items wait" in the_alert(world).detail


def test_the_alert_follows_the_reason(world: World) -> None:
    refuse(world)
    the_alert(world)
    world.source.down = Unavailable("connect timeout")
    world.clock.pass_(10)
    probe(world.deps)
    assert "connect timeout" in the_alert(world).detail


def test_the_alert_closes_when_the_connection_answers(world: World) -> None:
    refuse(world)
    the_alert(world)
    answer(world)
    assert open_alerts(world) == []


def test_beginning_and_end_are_mailed_once_each(world: World) -> None:
    mails: list[str] = []
    world.deps = replace(world.deps, mail=lambda subject, text: mails.append(subject))
    refuse(world)
    for _ in range(3):
        owe(world, f"A{len(mails)}")
        open_alerts(world)
        alerts.notify(world.deps)
    answer(world)
    for _ in range(3):
        open_alerts(world)
        alerts.notify(world.deps)
    title = f"{SHOP} refuses our credentials"
    assert mails == [f"[tallyhook] {title}", f"[tallyhook] over: {title}"]


def test_what_was_over_before_it_was_mailed_is_one_mail_that_says_so(world: World) -> None:
    mails: list[tuple[str, str]] = []
    refuse(world)
    the_alert(world)
    answer(world)
    assert open_alerts(world) == []
    world.deps = replace(world.deps, mail=lambda *mail: mails.append(mail))
    alerts.notify(world.deps)
    ((subject, text),) = mails
    assert subject == f"[tallyhook] over: {SHOP} refuses our credentials"
    assert "over since 2026-06-01 12:10 UTC" in text


def mailed(world: World, subjects: list[str], *, after: float = 0.0) -> list[str]:
    """The subjects so far, after some seconds, a round of the watch and one of the mails."""
    world.clock.pass_(after)
    world.deps = replace(world.deps, mail=lambda subject, text: subjects.append(subject.removeprefix("[tallyhook] ")))
    open_alerts(world)
    alerts.notify(world.deps)
    return subjects


def test_trouble_that_comes_and_goes_is_mailed_once(world: World) -> None:
    subjects: list[str] = []
    for _ in range(5):
        refuse(world)
        mailed(world, subjects)
        answer(world)
        mailed(world, subjects)
    title = f"{SHOP} refuses our credentials"
    assert subjects == [title, f"over: {title}"]


def test_trouble_that_comes_back_and_lasts_is_mailed_again(world: World) -> None:
    subjects: list[str] = []
    refuse(world)
    mailed(world, subjects)
    answer(world)
    mailed(world, subjects)
    refuse(world)
    assert len(mailed(world, subjects)) == 2
    title = f"{SHOP} refuses our credentials"
    assert mailed(world, subjects, after=901)[2:] == [title]
    answer(world)
    assert mailed(world, subjects)[3:] == [f"over: {title}"]


def test_trouble_that_comes_back_after_hours_is_mailed_at_once(world: World) -> None:
    subjects: list[str] = []
    refuse(world)
    mailed(world, subjects)
    answer(world)
    mailed(world, subjects)
    world.clock.pass_(2 * 3600)
    refuse(world)
    assert len(mailed(world, subjects)) == 3


@pytest.mark.parametrize("key", ["run:old", "discard:old", "subscription:old", "gap:7"])
def test_an_alert_about_a_connection_that_was_removed_closes(world: World, key: str) -> None:
    raise_alert(world.deps, key, "old: a run failed", "run 4 of old failed", "warning", "old")
    assert open_alerts(world) == []


def test_two_clocks_raise_one_alert(world: World, database_url: str) -> None:
    refuse(world)
    with closing(open_database(database_url, pool=32)) as database:
        other = replace(world.deps, database=database)
        at_once(4, lambda number: watch_connections((world.deps, other)[number % 2]))
    assert len(alerts.list_alerts(world.deps)) == 1


def test_a_persons_pause_is_no_warning_but_known(world: World) -> None:
    people.pause(world.deps, SHOP, "the vendor migrates us")
    alert = the_alert(world)
    assert alert.severity == "info"
    assert "the vendor migrates us" in alert.detail


# --- a kind ---


def test_a_forbidden_kind_is_a_warning_with_the_vendors_detail(world: World) -> None:
    judge(world.deps, SHOP, Kind.STOCK, NO_RIGHT)
    alert = the_alert(world)
    assert (alert.key, alert.severity) == (f"forbidden:{SHOP}:stock", "warning")
    assert "VENDOR_READ" in alert.detail


def test_a_kind_that_was_refused_once_while_the_account_answers_is_no_alert_yet(world: World) -> None:
    judge(world.deps, SHOP, Kind.STOCK, EXPIRED)
    assert open_alerts(world) == []


def test_a_kind_that_is_read_again_closes_its_alert_and_is_allowed(world: World) -> None:
    judge(world.deps, SHOP, Kind.STOCK, NO_RIGHT)
    the_alert(world)
    world.clock.pass_(60)
    with world.database.begin() as conn:
        watermarks.put(conn, SHOP, Kind.STOCK, "7", world.clock())
    assert open_alerts(world) == []
    assert forbidden(world.deps, SHOP) == frozenset()


def test_a_read_from_before_the_refusal_allows_nothing(world: World) -> None:
    with world.database.begin() as conn:
        watermarks.put(conn, SHOP, Kind.STOCK, "7", world.clock())
    world.clock.pass_(60)
    judge(world.deps, SHOP, Kind.STOCK, NO_RIGHT)
    assert the_alert(world).key == f"forbidden:{SHOP}:stock"


# --- a hold ---


def hold(world: World) -> int:
    with world.database.begin() as conn:
        return holds.hold(
            conn,
            connection=SHOP,
            kind=Kind.STOCK,
            run_id=None,
            reason="24 of 24 rows would become zero",
            summary={"zeroed": 24},
            now=world.clock(),
        )


def test_a_held_batch_is_a_warning_that_says_what_it_would_do(world: World) -> None:
    hold(world)
    alert = the_alert(world)
    assert (alert.key, alert.connection) == (f"hold:{SHOP}:stock", SHOP)
    assert "24 of 24 rows would become zero (zeroed 24)" in alert.detail


@pytest.mark.parametrize("state", [holds.RELEASED, holds.DISMISSED])
def test_the_alert_of_a_hold_closes_with_it(world: World, state: str) -> None:
    number = hold(world)
    the_alert(world)
    with world.database.begin() as conn:
        holds.close(conn, number, state)
    assert open_alerts(world) == []


# --- letters ---


def test_letters_are_shown_by_connection(world: World) -> None:
    die(world, "A")
    alert = the_alert(world)
    assert alert.title.startswith(f"{SHOP}: 1 dead letter: ")
    assert alert.connection == SHOP


def test_the_alert_about_letters_follows_their_number(world: World) -> None:
    die(world, "A")
    the_alert(world)
    die(world, "B")
    assert the_alert(world).title.startswith(f"{SHOP}: 2 dead letters: ")


def test_letters_of_two_connections_by_one_cause_are_two_alerts(world: World) -> None:
    die(world, "A")
    world.deps = replace(world.deps, sources={**world.deps.sources, "elsewhere": world.source})
    die(world, "A", connection="elsewhere")
    assert {alert.connection for alert in open_alerts(world)} == {SHOP, "elsewhere"}


def test_the_letter_of_a_run_is_shown_with_the_connection_of_the_run(world: World) -> None:
    run_id = request_run(world.deps, SHOP, Strategy.FULL, Options(), cause="person")
    die_without_item(world, "run", [run_id])
    alert = the_alert(world)
    assert alert.title.startswith(f"{SHOP}: 1 dead letter: ")
    assert alert.connection == SHOP


def test_letters_of_runs_of_two_connections_by_one_cause_are_two_alerts(world: World) -> None:
    world.deps = replace(world.deps, sources={**world.deps.sources, "elsewhere": world.source})
    for name in world.deps.sources:
        run_id = request_run(world.deps, name, Strategy.FULL, Options(), cause="person")
        die_without_item(world, "run", [run_id], message_id=name)
    assert {alert.connection for alert in open_alerts(world)} == {SHOP, "elsewhere"}


# --- subscriptions ---


class Subscribed(FakeSource):
    """A shop whose vendor can tell what it sends to."""

    def subscriptions(self) -> Sequence[Subscription]:
        self._called("subscriptions")
        return []


@pytest.fixture
def subscribed(database: Database) -> World:
    return World(database, Subscribed())


def test_a_paused_connection_is_not_asked_for_its_subscriptions(subscribed: World) -> None:
    people.pause(subscribed.deps, SHOP)
    alerts.check_subscriptions(subscribed.deps)
    assert subscribed.source.requests == []


def ended(world: World, strategy: Strategy, status: str) -> int:
    world.clock.pass_(60)
    run_id = request_run(world.deps, SHOP, strategy, Options(), cause="schedule")
    with world.database.begin() as conn:
        runs.start(conn, run_id, "t", 15, world.clock())
        runs.finish(conn, run_id, "t", status, "its kinds failed" if status == "failed" else None, world.clock())
    return run_id


def test_a_failed_run_is_one_alert_though_it_leaves_a_letter(world: World) -> None:
    die_without_item(world, "run", [ended(world, Strategy.FULL, "failed")])
    assert the_alert(world).title == f"{SHOP}: a run failed"


def test_a_failed_run_is_told_until_one_of_its_strategy_completes(world: World) -> None:
    ended(world, Strategy.FULL, "failed")
    ended(world, Strategy.CRITICAL, "completed")
    assert the_alert(world).title == f"{SHOP}: a run failed"
    ended(world, Strategy.FULL, "completed")
    assert open_alerts(world) == []


class Puzzled(PlainReceiver):
    """Meets headers that it was not written for."""

    def first_sent(self, headers: Mapping[str, str]) -> None:
        raise KeyError("a header")


def test_headers_that_break_a_receiver_keep_no_other_alert(world: World) -> None:
    world.source.receiver = Puzzled()
    with world.database.begin() as conn:
        inbox.accept(conn, [Arrival(SHOP, Delivery("e1", "changed"), {}, b"{}", world.clock())])
    ended(world, Strategy.FULL, "failed")
    assert the_alert(world).title == f"{SHOP}: a run failed"
