"""Changes are sent to subscribers in order, at least once, each time with the same id, and by one process at a time."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from standardwebhooks.webhooks import Webhook

from app.domain import Kind, Record
from app.errors import BadConfiguration, Forbidden, InvalidRequest, NotFound
from app.flows.access import audit
from app.flows.catalog.changes import changes_after
from app.flows.deps import utc_now
from app.flows.subscribers import subscribers as people
from app.flows.subscribers.deliver import LEASE, THREADS, claim, deliver, deliver_in_background, send, settle, waiting
from app.flows.subscribers.subscribers import SubscriberView
from app.flows.upkeep.alerts import list_alerts
from app.rules.access.encryption import Encryption
from app.rules.subscribers import GIVE_UP
from app.stores import catalog, tables
from app.stores.history import feed
from app.stores.history import rows as history_rows
from app.stores.sql.engine import Database, open_database
from tests.fakes import SHOP, World, count, listing
from tests.listener import Listener, listening
from tests.stack import eventually
from tests.stores.racing import at_once

KEY = "w5BKJ0uTPIyE6pTYCk2yE6mXRYVnUVjRUkIhbG0BvbM="
DAY = 86_400.0


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    world.deps = replace(world.deps, encryption=Encryption(KEY))
    return world


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


def follow(world: World, listener: Listener, *kinds: Kind) -> int:
    return people.create(world.deps, "books", listener.url, kinds=kinds or None).subscriber.id


def put(world: World, *records: Record) -> None:
    with world.database.begin() as conn:
        catalog.apply(conn, SHOP, records, read_at=world.clock(), now=world.clock(), by="poll")
    world.clock.pass_(1)


def now(world: World, id: int) -> SubscriberView:
    return people.show(world.deps, id)


def test_all_changes_arrive_and_in_order(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    for name in "ABC":
        put(world, listing(name))
    deliver(world.deps, id)
    put(world, listing("B", name="other"))
    deliver(world.deps, id)
    assert listener.rows == ["created A", "created B", "created C", "updated B"]


def test_many_changes_arrive_in_several_messages_of_at_most_500(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    put(world, *(listing(f"{number:04}") for number in range(1_203)))
    assert deliver(world.deps, id) == 3
    assert [len(got.rows) for got in listener.got] == [500, 500, 203]
    assert sorted(listener.rows) == [f"created {number:04}" for number in range(1_203)]


def test_a_row_is_as_the_feed_shows_it(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    put(world, count("A", 5))
    deliver(world.deps, id)
    (got,) = listener.got
    (row,) = got.json["data"]["rows"]
    (change,) = changes_after(world.deps, None, 10).rows
    assert (row["id"], row["fields"], row["writtenBy"]) == (change.id, {"quantity": [None, "5"]}, "poll")
    assert (got.json["type"], got.json["data"]["cursor"]) == ("changes", now(world, id).cursor)


def test_what_changed_before_is_not_sent(world: World, listener: Listener) -> None:
    put(world, listing("A"))
    id = follow(world, listener)
    put(world, listing("B"))
    deliver(world.deps, id)
    assert listener.rows == ["created B"]


def test_only_the_wanted_kinds_are_sent(world: World, listener: Listener) -> None:
    id = follow(world, listener, Kind.STOCK)
    put(world, listing("A"), count("A", 5))
    deliver(world.deps, id)
    assert [row["kind"] for row in listener.got[0].json["data"]["rows"]] == ["stock"]


def test_where_nothing_wanted_changed_nothing_is_sent_and_nothing_waits(world: World, listener: Listener) -> None:
    id = follow(world, listener, Kind.ORDER)
    put(world, listing("A"))
    assert waiting(world.deps) == [id]
    deliver(world.deps, id)
    assert (listener.got, waiting(world.deps)) == ([], [])


def test_the_signature_is_one_that_the_specifications_library_accepts(world: World, listener: Listener) -> None:
    deps = replace(world.deps, now=utc_now)
    created = people.create(deps, "books", listener.url)
    put(world, listing("A"))
    deliver(deps, created.subscriber.id)
    (got,) = listener.got
    assert Webhook(created.secret).verify(got.body, dict(got.headers)) == got.json


def test_a_subscriber_that_fails_gets_the_same_message_again_later(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    listener.answers = [500, 200]
    put(world, listing("A"))
    assert deliver(world.deps, id) == 0
    put(world, listing("B"))
    assert deliver(world.deps, id) == 0  # too early
    world.clock.pass_(10)
    assert deliver(world.deps, id) == 2
    first, again, second = listener.got
    assert (first.id, first.body) == (again.id, again.body)
    assert (again.rows, second.rows, second.id != first.id) == (["created A"], ["created B"], True)


def test_a_failure_is_shown_until_it_is_over(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    listener.answers, listener.text = [503, 200], b"we are closed"
    put(world, listing("A"))
    deliver(world.deps, id)
    failing = now(world, id)
    assert (failing.attempts, failing.last_error) == (1, "answered 503: we are closed")
    assert failing.failing_since == world.clock()
    world.clock.pass_(10)
    deliver(world.deps, id)
    well = now(world, id)
    assert (well.attempts, well.last_error, well.failing_since, well.last_success_at) == (
        0,
        None,
        None,
        world.clock(),
    )


def test_a_crash_between_sending_and_recording_sends_the_same_message_again(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    put(world, listing("A"))
    batch = claim(world.deps, id)
    assert batch is not None
    send(world.deps, *batch)  # and here the process dies
    put(world, listing("B"))
    assert deliver(world.deps, id) == 0  # the lease still holds
    world.clock.pass_(LEASE.total_seconds())
    deliver(world.deps, id)
    first, again, second = listener.got
    assert (first.id, first.body) == (again.id, again.body)
    assert (first.rows, second.rows) == (["created A"], ["created B"])


def test_who_lost_the_lease_does_not_move_the_cursor(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    put(world, listing("A"))
    late = claim(world.deps, id)
    world.clock.pass_(LEASE.total_seconds())
    assert late is not None
    assert claim(world.deps, id) is not None
    before = now(world, id).cursor
    assert not settle(world.deps, late, send(world.deps, *late))
    assert now(world, id).cursor == before


def test_of_many_dispatchers_one_delivers_at_a_time(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    busy, together = threading.Lock(), []

    def linger() -> None:
        if not busy.acquire(blocking=False):
            together.append("two messages at once")
            return
        time.sleep(0.05)
        busy.release()

    listener.before_answer = linger
    with closing(open_database(world.database.url, pool=4)) as database:
        both = (world.deps, replace(world.deps, database=database))
        for name in "ABC":
            put(world, listing(name))
            at_once(4, lambda number: deliver(both[number % 2], id))
    deliver(world.deps, id)
    assert (together, listener.rows) == ([], ["created A", "created B", "created C"])


def test_a_subscriber_that_hangs_keeps_no_other_from_its_changes(world: World, listener: Listener) -> None:
    released = threading.Event()
    with listening() as hanging:
        hanging.before_answer = lambda: released.wait(60)
        follow(world, hanging)
        follow(world, listener)
        put(world, listing("A"))
        began = time.monotonic()
        deliver_in_background(world.deps)
        took = time.monotonic() - began
        assert eventually(lambda: listener.rows == ["created A"], within=10)
        released.set()
        assert took < 5
        _await_threads()


def _await_threads() -> None:
    """The threads of this test have ended."""
    names = ("subscriber-",)
    assert eventually(lambda: not [one for one in threading.enumerate() if one.name.startswith(names)], within=30)
    assert THREADS.acquire(blocking=False)
    THREADS.release()


def test_a_subscriber_that_fails_for_five_days_is_disabled_with_an_alert(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    listener.answers = [500]
    put(world, listing("A"))
    deliver(world.deps, id)
    world.clock.pass_(GIVE_UP.total_seconds() - 60)
    deliver(world.deps, id)
    assert (now(world, id).enabled, list_alerts(world.deps)) == (True, [])
    world.clock.pass_(7_200)
    deliver(world.deps, id)
    (alert,) = list_alerts(world.deps)
    assert (now(world, id).enabled, alert.title) == (False, "subscriber books is disabled")
    assert f"tallyhook subscribers resume {id}" in alert.detail
    world.clock.pass_(DAY)
    deliver(world.deps, id)
    assert len(listener.got) == 3


def test_410_disables_at_once(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    listener.answers = [410]
    put(world, listing("A"))
    deliver(world.deps, id)
    assert (now(world, id).enabled, len(list_alerts(world.deps))) == (False, 1)


def test_who_is_resumed_gets_all_that_was_missed_and_the_alert_ends(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    listener.answers = [410, 200]
    put(world, listing("A"))
    deliver(world.deps, id)
    put(world, listing("B"))
    people.resume(world.deps, id)
    deliver(world.deps, id)
    assert listener.rows == ["created A", "created A", "created B"]
    assert [alert for alert in list_alerts(world.deps) if alert.closed_at is None] == []


def test_who_is_paused_gets_nothing(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    people.pause(world.deps, id)
    put(world, listing("A"))
    assert (waiting(world.deps), deliver(world.deps, id), listener.got) == ([], 0, [])


def test_after_a_restored_backup_a_message_says_so_and_the_changes_go_on(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    put(world, listing("A"))
    with world.database.begin() as conn:
        moments = dict.fromkeys(("back_to", "lost_at", "found_at"), world.clock())
        conn.execute(insert(tables.core(tables.Restore)).values(**moments))
    deliver(world.deps, id)
    put(world, listing("B"))
    deliver(world.deps, id)
    assert [(got.json["type"], got.rows) for got in listener.got] == [("lost", []), ("changes", ["created B"])]


def test_where_changes_are_no_longer_kept_a_message_says_so_and_comes_again(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    listener.answers = [500, 500, 200]
    put(world, listing("A"))
    deliver(world.deps, id)
    put(world, listing("B"))
    with world.database.begin() as conn:
        ids = list(conn.execute(select(history_rows.ROWS.c.id).order_by(history_rows.ROWS.c.id)).scalars())
        feed.note_removed(conn, ids[:1], world.clock())
        conn.execute(history_rows.ROWS.delete().where(history_rows.ROWS.c.id == ids[0]))
    for _ in range(2):
        world.clock.pass_(60)
        deliver(world.deps, id)
    put(world, listing("C"))
    deliver(world.deps, id)
    changes, lost, again, rest = listener.got
    assert [got.json["type"] for got in listener.got] == ["changes", "lost", "lost", "changes"]
    assert (lost.id == again.id, changes.id == lost.id, rest.rows) == (True, False, ["created C"])


def test_rows_that_were_removed_meanwhile_do_not_stop_the_others(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    put(world, listing("A"))
    assert claim(world.deps, id) is not None
    with world.database.begin() as conn:
        conn.execute(history_rows.ROWS.delete())
    world.clock.pass_(LEASE.total_seconds())
    put(world, listing("B"))
    deliver(world.deps, id)
    put(world, listing("C"))
    deliver(world.deps, id)
    assert listener.rows[-1] == "created C"


def test_no_secret_can_be_read_in_the_database(world: World, listener: Listener) -> None:
    secret = people.create(world.deps, "books", listener.url).secret
    with world.database.read() as conn:
        dump = str(conn.exec_driver_sql("SELECT * FROM subscribers").all()) + str(
            conn.exec_driver_sql("SELECT * FROM audit_log").all()
        )
    word = secret.removeprefix("whsec_")
    assert "books" in dump
    assert word not in dump
    if world.database.dialect == "sqlite":
        file = Path(world.database.url.removeprefix("sqlite:///"))
        kept = b"".join(part.read_bytes() for part in file.parent.glob(f"{file.name}*"))
        assert (b"books" in kept, word.encode() in kept) == (True, False)


def test_without_a_key_nobody_can_subscribe(world: World) -> None:
    deps = replace(world.deps, encryption=Encryption(None))
    with pytest.raises(BadConfiguration, match="TALLYHOOK_SECRET_KEY is not set"):
        people.create(deps, "books", "https://example.com/")


@pytest.mark.parametrize(
    ("key", "said"), [(None, "TALLYHOOK_SECRET_KEY is not set"), (KEY.replace("w5", "x5"), "with another key")]
)
def test_a_key_that_is_gone_is_a_failure_that_says_so(
    world: World, listener: Listener, key: str | None, said: str
) -> None:
    id = follow(world, listener)
    put(world, listing("A"))
    deliver(replace(world.deps, encryption=Encryption(key)), id)
    assert said in str(now(world, id).last_error)
    world.clock.pass_(10)
    assert deliver(world.deps, id) == 1


def test_a_test_message_is_sent_signed_and_moves_nothing(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    put(world, listing("A"))
    before = now(world, id)
    assert people.send_test(world.deps, id).accepted
    assert (listener.got[0].json["type"], now(world, id)) == ("test", before)


def test_a_test_message_that_nobody_takes_says_why(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    listener.answers, listener.text = [404], b"no such hook"
    assert people.send_test(world.deps, id) == people.Tested(False, "answered 404: no such hook")


def test_each_change_of_a_subscriber_is_in_the_audit_log(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    for action in (people.pause, people.resume, people.send_test, people.delete):
        action(world.deps, id)
    names = ["delete", "test", "resume", "pause", "create"]
    noted = [entry.action for entry in audit.list_entries(world.deps)]
    assert noted == [f"subscribers.{name}" for name in names]
    assert {*noted} <= {*audit.ACTIONS}


def test_a_deleted_subscriber_is_gone(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    put(world, listing("A"))
    batch = claim(world.deps, id)
    people.delete(world.deps, id)
    assert batch is not None
    assert not settle(world.deps, batch, send(world.deps, *batch))
    with pytest.raises(NotFound):
        people.show(world.deps, id)


def test_an_unknown_connection_is_refused_with_those_there_are(world: World) -> None:
    with pytest.raises(InvalidRequest, match=f"no connection nowhere; use one of: {SHOP}"):
        people.create(world.deps, "books", "https://example.com/", connections=["nowhere"])


def test_changes_of_other_connections_are_not_sent(world: World, listener: Listener) -> None:
    id = people.create(world.deps, "books", listener.url, connections=[SHOP]).subscriber.id
    with world.database.begin() as conn:
        catalog.apply(conn, "other", [listing("A")], read_at=world.clock(), now=world.clock(), by="poll")
    put(world, listing("B"))
    deliver(world.deps, id)
    assert listener.rows == ["created B"]


def test_who_sees_only_some_connections_may_not_look_at_subscribers(world: World) -> None:
    narrow = replace(world.deps, principal=replace(world.deps.principal, connections=frozenset({SHOP})))
    with pytest.raises(Forbidden):
        people.list_subscribers(narrow)


def test_a_url_that_is_none_is_refused(world: World) -> None:
    with pytest.raises(InvalidRequest, match="is like https://"):
        people.create(world.deps, "books", "ftp://example.com/")


def test_the_wait_before_the_next_attempt_grows(world: World, listener: Listener) -> None:
    id = follow(world, listener)
    listener.answers = [500]
    put(world, listing("A"))
    waits = []
    for _ in range(4):
        deliver(world.deps, id)
        next_at = now(world, id).next_at
        assert next_at is not None
        waits.append(next_at - world.clock())
        world.clock.moment = next_at
    assert timedelta(seconds=5) <= waits[0] < waits[3]
    assert waits[3] >= timedelta(seconds=40)
    assert len({got.id for got in listener.got}) == 1
