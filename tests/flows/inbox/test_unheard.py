"""Gaps: found by silence and after a downtime, filled from a ledger or covered by a pull, told once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import pytest

from app.channels.mail import mail_sender
from app.domain import Change, Delivery, ItemKey, Kind
from app.errors import Unavailable, Unmappable
from app.flows.connections import connections
from app.flows.inbox import outages
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.upkeep import alerts
from app.flows.upkeep.heartbeat import HeartbeatThread
from app.rules.inbox.silence import expected, lasting
from app.sources.base import LedgerUnavailable, Recorded, Subscription
from app.stores import owed
from app.stores.inbox import inbox
from app.stores.inbox.inbox import Arrival
from app.stores.sql.engine import Database, open_database
from app.stores.upkeep import heartbeats
from tests.fakes import SHOP, FakeSource, World
from tests.letters import die
from tests.refusing import refusing

DAY = 86_400


class Remembering(FakeSource):
    """A shop with a ledger of its events, and a subscription."""

    def __init__(self, *events: str) -> None:
        super().__init__()
        self.events = events
        self.ledger_on = True
        self.subscribed = True
        self.until: datetime | None = None

    def missed(self, since: datetime, until: datetime) -> Iterator[Recorded]:
        self.until = until
        if not self.ledger_on:
            raise LedgerUnavailable("the ledger is not enabled")
        for event in self.events:
            yield Recorded(delivery(event), b"{}")

    def subscriptions(self) -> list[Subscription]:
        return [Subscription("ours", "https://here/webhooks/shop", self.subscribed)]


def delivery(event: str) -> Delivery:
    return Delivery(event, "product.updated", [Change(Kind.PRODUCT, event.upper())])


def hear(world: World, *events: str) -> None:
    with world.database.begin() as conn:
        inbox.accept(conn, [Arrival(SHOP, delivery(event), {}, b"{}", world.clock()) for event in events])


@pytest.fixture
def source() -> Remembering:
    return Remembering("a", "b", "c")


@pytest.fixture
def world(database: Database, source: Remembering) -> World:
    """A shop of which event ``a`` was heard."""
    world = World(database, source)
    hear(world, "a")
    return world


def sign(world: World, process: str) -> None:
    """A web process of this name, just started, gives a sign of life."""
    with world.database.begin() as conn:
        heartbeats.record(conn, process, "web", world.clock(), world.clock())


def down(world: World, seconds: float) -> None:
    sign(world, "web@one")
    world.clock.pass_(seconds)
    sign(world, "web@two")


def sentences(world: World) -> list[str]:
    return [outage.sentence for outage in outages.list_outages(world.deps)]


def titles(world: World) -> list[str]:
    return [alert.title for alert in reversed(alerts.list_alerts(world.deps))]


def work(world: World) -> None:
    for key in world.queue.enqueued:
        sync_item(world.deps, LeaseKeeper(world.database), key)


# --- downtime ---


def test_an_event_of_the_ledger_that_cannot_be_stored_keeps_no_other_out(world: World) -> None:
    down(world, 11_400)
    with refusing(world.database, "INSERT", "inbox_events", "NEW.event_id = 'b'"):
        outages.watch(world.deps)
    work(world)
    outages.watch(world.deps)
    assert sentences(world) == ["down 3 h 10 min, missed 1, replayed 1"]


def test_a_downtime_is_filled_from_the_ledger_with_unseen_events_only(world: World) -> None:
    down(world, 11_400)
    outages.watch(world.deps)
    work(world)
    outages.watch(world.deps)
    assert sentences(world) == ["down 3 h 10 min, missed 2, replayed 2"]


def test_what_is_not_settled_yet_is_not_replayed_yet(world: World) -> None:
    down(world, 11_400)
    outages.watch(world.deps)
    assert sentences(world) == ["down 3 h 10 min, missed 2, replayed 0"]


def test_a_downtime_without_ledger_is_covered_by_a_pull(world: World, source: Remembering) -> None:
    source.ledger_on = False
    down(world, 3600)
    outages.watch(world.deps)
    assert sentences(world) == ["down 1 h 0 min, a delta pull covered it: the ledger is not enabled"]
    with world.database.read() as conn:
        assert owed.is_owed(conn, ItemKey(SHOP, Kind.PRODUCT, "*"))


def test_a_downtime_in_which_nothing_happened_says_so(world: World, source: Remembering) -> None:
    source.events = ("a",)
    down(world, 3600)
    outages.watch(world.deps)
    assert sentences(world) == ["down 1 h 0 min, nothing had happened"]


def test_a_restart_within_a_minute_is_no_gap(world: World) -> None:
    down(world, 50)
    outages.watch(world.deps)
    assert sentences(world) == []


def test_two_webs_of_which_one_went_away_are_no_gap(world: World) -> None:
    sign(world, "web@one")
    world.clock.pass_(5)
    sign(world, "web@two")
    world.clock.pass_(3600)
    with world.database.begin() as conn:
        heartbeats.record(conn, "web@two", "web", world.clock() - timedelta(seconds=3600), world.clock())
    sign(world, "web@three")
    outages.watch(world.deps)
    assert sentences(world) == []


def test_a_gap_is_found_once_by_eight_clocks(world: World) -> None:
    down(world, 3600)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: outages.watch(world.deps), range(8)))
    assert len(sentences(world)) == 1


def test_a_gap_is_closed_once_by_eight_clocks(world: World) -> None:
    down(world, 3600)
    outages.watch(world.deps)
    work(world)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: outages.watch(world.deps), range(8)))
    assert titles(world) == ["shop: gap closed"]


def living_webs(world: World) -> int:
    with world.database.read() as conn:
        return len(heartbeats.living(conn, world.clock()))


def test_a_web_process_gives_a_sign_of_life(world: World) -> None:
    HeartbeatThread(world.deps, "web", every=60).send()
    assert living_webs(world) == 1


def test_a_web_process_that_was_stopped_is_not_taken_for_a_living_one(world: World) -> None:
    heartbeat = HeartbeatThread(world.deps, "web", every=60)
    heartbeat.start()
    heartbeat.stop()
    assert living_webs(world) == 0


def test_a_schema_that_is_not_ours_keeps_nothing_from_stopping(sqlite_url: str) -> None:
    with closing(open_database(sqlite_url)) as database:
        with database.begin() as conn:
            conn.exec_driver_sql("DROP TABLE beats")
        heartbeat = HeartbeatThread(World(database).deps, "web", every=60)
        heartbeat.start()
        heartbeat.stop()


def test_a_web_process_was_there_until_it_was_stopped(world: World) -> None:
    heartbeat = HeartbeatThread(world.deps, "web", every=60)
    heartbeat.send()
    world.clock.pass_(50)
    heartbeat.start()
    heartbeat.stop()
    world.clock.pass_(50)
    HeartbeatThread(world.deps, "web", every=60).send()
    with world.database.read() as conn:
        assert heartbeats.silences(conn, "web", world.clock() - timedelta(days=1), timedelta(seconds=60)) == []


def test_a_downtime_of_days_is_found(world: World) -> None:
    down(world, 3 * DAY)
    outages.watch(world.deps)
    assert sentences(world) == ["down 3 d 0 h, missed 2, replayed 0"]


def test_the_first_start_ever_heals_from_the_newest_event(world: World) -> None:
    world.clock.pass_(7200)
    sign(world, "web@one")
    outages.watch(world.deps)
    assert sentences(world) == ["down 2 h 0 min, missed 2, replayed 0"]


def test_an_event_heard_before_the_first_watch_hides_no_first_start(world: World) -> None:
    world.clock.pass_(7200)
    sign(world, "web@one")
    world.clock.pass_(1)
    hear(world, "b")
    outages.watch(world.deps)
    assert sentences(world) == ["down 2 h 0 min, missed 1, replayed 0"]


def test_an_event_heard_before_the_first_watch_hides_no_downtime(world: World) -> None:
    down(world, 11_400)
    world.clock.pass_(1)
    hear(world, "b")
    outages.watch(world.deps)
    assert sentences(world) == ["down 3 h 10 min, missed 1, replayed 0"]


def test_what_came_while_a_web_process_was_starting_is_asked_for_too(world: World) -> None:
    down(world, 3600)
    started = world.clock()
    world.clock.pass_(600)
    outages.watch(world.deps)
    assert world.source.until == started + timedelta(minutes=1)  # type: ignore[attr-defined]


def test_a_web_process_that_stood_still_was_not_there(world: World) -> None:
    """Its host slept, or it was stopped: the same process goes on."""
    heartbeat = HeartbeatThread(world.deps, "web", every=60)
    heartbeat.send()
    world.clock.pass_(11_400)
    heartbeat.send()
    outages.watch(world.deps)
    assert sentences(world) == ["down 3 h 10 min, missed 2, replayed 0"]


def test_a_web_process_that_lives_on_was_there(world: World) -> None:
    heartbeat = HeartbeatThread(world.deps, "web", every=60)
    for _ in range(4):
        heartbeat.send()
        world.clock.pass_(50)
    outages.watch(world.deps)
    assert sentences(world) == []


def test_how_many_were_replayed_is_counted_when_it_is_shown(world: World) -> None:
    down(world, 11_400)
    outages.watch(world.deps)
    work(world)
    assert sentences(world) == ["down 3 h 10 min, missed 2, replayed 2"]


def test_that_a_gap_is_closed_is_shown_once_its_events_are_replayed(world: World) -> None:
    down(world, 11_400)
    outages.watch(world.deps)
    before = titles(world)
    work(world)
    outages.watch(world.deps)
    outages.watch(world.deps)
    closed = [alert.detail for alert in alerts.list_alerts(world.deps)]
    assert (before, closed) == ([], ["shop: down 3 h 10 min, missed 2, replayed 2."])


def test_an_event_that_died_was_not_replayed(world: World) -> None:
    down(world, 11_400)
    outages.watch(world.deps)
    die(world, "B", Unmappable("no"))
    work(world)
    outages.watch(world.deps)
    assert sentences(world) == ["down 3 h 10 min, missed 2, replayed 1, 1 died"]


def test_a_source_that_cannot_be_asked_keeps_no_other_from_being_healed(world: World) -> None:
    class Broken(Remembering):
        def missed(self, since: datetime, until: datetime) -> Iterator[Recorded]:
            raise Unavailable("503")

    sources = {"broken": Broken(), SHOP: world.source}
    world.deps = replace(world.deps, sources=sources, bulk_sources=sources)
    with world.database.begin() as conn:
        inbox.accept(conn, [Arrival("broken", delivery("x"), {}, b"{}", world.clock())])
    down(world, 3600)
    outages.watch(world.deps)
    assert sorted(sentences(world)) == ["down 1 h 0 min, missed 2, replayed 0", "down 1 h 0 min, ongoing"]


# --- silence ---


def busy_days(world: World, days: int, each: int = 12) -> None:
    """Some days on which events come every minute, and then silence for 40 minutes."""
    for day in range(days):
        for minute in range(60):
            if minute % (60 // each) == 0:
                hear(world, f"{day}-{minute}")
            world.clock.pass_(60)
        world.clock.pass_(DAY - 3600)
    hear(world, "the last")


def test_silence_where_many_events_come_is_a_gap(world: World) -> None:
    busy_days(world, 3)
    world.clock.pass_(3600)
    outages.watch(world.deps)
    assert sentences(world) == ["silent 1 h 0 min (about 12 events expected), missed 2 so far"]


def test_silence_ends_with_the_next_event(world: World) -> None:
    busy_days(world, 3)
    world.clock.pass_(3600)
    outages.watch(world.deps)
    hear(world, "again")
    world.clock.pass_(700)
    outages.watch(world.deps)
    assert sentences(world)[0].startswith("silent 1 h 0 min (about 12 events expected), missed 2")
    work(world)
    outages.watch(world.deps)
    assert titles(world) == ["shop: no webhooks", "shop: gap closed"]


def test_silence_in_a_quiet_shop_is_no_gap(world: World) -> None:
    busy_days(world, 3, each=4)
    world.clock.pass_(3600)
    outages.watch(world.deps)
    assert sentences(world) == []


@pytest.mark.parametrize(
    ("counts", "minutes", "should"),
    [([], 60, None), ([50], 5, None), ([9, 50], 60, None), ([10, 50], 60, 10), ([0, 50, 50], 60, None)],
)
def test_silence_is_judged_by_the_quietest_day(counts: list[int], minutes: int, should: int | None) -> None:
    assert expected(counts, timedelta(minutes=minutes)) == should


@pytest.mark.parametrize(("minutes", "text"), [(0, "0 min"), (40, "40 min"), (190, "3 h 10 min"), (3120, "2 d 4 h")])
def test_a_span_is_told_to_people(minutes: int, text: str) -> None:
    assert lasting(timedelta(minutes=minutes)) == text


# --- alerts ---


def test_a_disabled_subscription_is_an_alert_until_it_is_enabled(world: World, source: Remembering) -> None:
    source.subscribed = False
    for _ in range(2):
        alerts.check_subscriptions(world.deps)
    assert titles(world) == ["shop: webhook subscription disabled"]
    source.subscribed = True
    alerts.check_subscriptions(world.deps)
    assert alerts.list_alerts(world.deps)[0].closed_at == world.clock()


def test_a_gap_of_most_of_a_day_is_an_alert(world: World, source: Remembering) -> None:
    busy_days(world, 3)
    source.ledger_on = False
    world.clock.pass_(3600)
    outages.watch(world.deps)
    world.clock.pass_(16 * 3600)
    alerts.watch(world.deps)
    assert "shop: the vendor is about to give up deliveries" in titles(world)


def test_dead_letters_of_one_cause_are_one_alert(world: World) -> None:
    for item in "XYZ":
        die(world, item, Unmappable("no"))
    alerts.watch(world.deps)
    die(world, "W", Unmappable("no"))
    alerts.watch(world.deps)
    assert titles(world) == [f"{SHOP}: 4 dead letters: Unmappable"]


# --- mail ---


class Mailbox:
    """A mail service on this machine that keeps what it is sent, or fails."""

    def __init__(self) -> None:
        self.mails: list[dict[str, Any]] = []
        self.status = 202
        box = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if box.status == 202:
                    box.mails.append(msgspec.json.decode(body))
                self.send_response(box.status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                return None

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    yield box
    box.close()


@pytest.fixture
def mailing(world: World, mailbox: Mailbox) -> World:
    host = f"http://127.0.0.1:{mailbox.server.server_port}"
    mail = mail_sender("key", host, "tallyhook@example.com", ["ops@example.com"])
    world.deps = replace(world.deps, mail=mail, public_url="https://hooks.example.com")
    return world


def test_a_gap_is_mailed_with_its_sentence_and_a_link(mailing: World, mailbox: Mailbox) -> None:
    down(mailing, 11_400)
    outages.watch(mailing.deps)
    work(mailing)
    outages.watch(mailing.deps)
    assert alerts.notify(mailing.deps) == 1
    (mail,) = mailbox.mails
    assert mail["subject"] == "[tallyhook] shop: gap closed"
    text = mail["content"][0]["value"]
    assert "down 3 h 10 min, missed 2, replayed 2" in text
    assert "https://hooks.example.com/alerts" in text


def test_an_alert_is_mailed_once_by_four_clocks(mailing: World, mailbox: Mailbox) -> None:
    die(mailing, "X", Unmappable("no"))
    alerts.watch(mailing.deps)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: alerts.notify(mailing.deps), range(4)))
    assert len(mailbox.mails) == 1


def test_a_mail_that_failed_is_sent_later(mailing: World, mailbox: Mailbox) -> None:
    die(mailing, "X", Unmappable("no"))
    alerts.watch(mailing.deps)
    mailbox.status = 500
    assert alerts.notify(mailing.deps) == 0
    mailbox.status = 202
    assert alerts.notify(mailing.deps) == 0  # not at once
    mailing.clock.pass_(301)
    assert alerts.notify(mailing.deps) == 1


def test_a_mail_service_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        mail_sender("key", "http://127.0.0.1:9", "a@example.com", ["b@example.com"])("subject", "text")


def test_that_an_alert_is_over_is_mailed_too(mailing: World, mailbox: Mailbox, source: Remembering) -> None:
    for source.subscribed in (False, True):
        alerts.check_subscriptions(mailing.deps)
        alerts.notify(mailing.deps)
    assert [mail["subject"] for mail in mailbox.mails] == [
        "[tallyhook] shop: webhook subscription disabled",
        "[tallyhook] over: shop: webhook subscription disabled",
    ]


def test_without_mail_alerts_are_rows_only(world: World) -> None:
    die(world, "X", Unmappable("no"))
    alerts.watch(world.deps)
    assert (alerts.notify(world.deps), len(titles(world))) == (0, 1)


def test_the_gap_of_a_paused_connection_waits_until_it_is_resumed(world: World) -> None:
    connections.pause(world.deps, SHOP)
    down(world, 11_400)
    outages.watch(world.deps)
    waiting = sentences(world)
    connections.resume(world.deps, SHOP)
    outages.watch(world.deps)
    assert [waiting, sentences(world)] == [
        ["down 3 h 10 min, ongoing"],
        ["down 3 h 10 min, missed 2, replayed 0"],
    ]
