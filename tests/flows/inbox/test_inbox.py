"""The inbox: found by every key, told with what came of it, replayed, exported and imported."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.domain import Change, Delivery, ItemKey, Kind, Principal, Role
from app.errors import Refused, Unmappable
from app.flows.inbox.inbox import ItemOutcome, find, replay_event, replay_events, show
from app.flows.inbox.inbox_import import export_lines, import_lines
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.letters.replay import show_replay
from app.rules.filters import FilterError
from app.sources.base import SignatureInvalid
from app.stores import owed
from app.stores.access import audit
from app.stores.inbox import inbox
from app.stores.inbox.inbox import Arrival
from app.stores.sql.engine import Database, open_database
from tests.fakes import SHOP, PlainReceiver, World, listing
from tests.letters import die
from tests.refusing import refusing

FRIEND = {"x-word": "friend", "x-signature": "abc"}


def receive(world: World, name: str, *items: str, type_: str = "changed", ignored: bool = False) -> None:
    body = msgspec.json.encode({"id": name, "type": type_, "items": [["product", item] for item in items]})
    changes = [Change(Kind.PRODUCT, item) for item in items]
    delivery = Delivery(name, type_, changes, ignored=ignored)
    with world.database.begin() as conn:
        inbox.accept(conn, [Arrival(SHOP, delivery, FRIEND, body, world.clock())])


@pytest.fixture
def world(database: Database) -> World:
    """A was changed and synced, B is owed, C died; one delivery was of an unknown type."""
    world = World(database)
    world.source.put(listing("A"))
    receive(world, "e1", "A")
    sync_item(world.deps, LeaseKeeper(database), ItemKey(SHOP, Kind.PRODUCT, "A"))
    world.clock.pass_(3600)
    receive(world, "e2", "B", type_="order.updated")
    receive(world, "e3", "C", 'odd "id"')
    die(world, "C", Unmappable("no"))
    receive(world, "e4", type_="unknown", ignored=True)
    world.clock.pass_(60)
    return world


def matching(world: World, text: str) -> list[str]:
    return [row.event_id for row in reversed(find(world.deps, text))]


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("", ["e1", "e2", "e3", "e4"]),
        ("connection:shop", ["e1", "e2", "e3", "e4"]),
        ("connection:elsewhere", []),
        ("type:order.*", ["e2"]),
        ("event:e3", ["e3"]),
        ("item:A", ["e1"]),
        ('item:"odd \\"id\\""', ["e3"]),
        ("item:od*", ["e3"]),
        ("item:d", []),
        ("kind:product", ["e1", "e2", "e3"]),
        ("kind:stock", []),
        ("verdict:ignored", ["e4"]),
        ("outcome:applied", ["e1"]),
        ("outcome:owed", ["e2", "e3"]),
        ("outcome:dead", ["e3"]),
        ("-outcome:applied,dead verdict:accepted", ["e2"]),
        ("since:30m", ["e2", "e3", "e4"]),
        ("until:30m", ["e1"]),
    ],
)
def test_a_filter_finds(world: World, text: str, events: list[str]) -> None:
    assert matching(world, text) == events


@pytest.mark.parametrize("text", ["evnt:x", "outcome:lost", "verdict:maybe", "kind:thing", "since:soon"])
def test_a_wrong_filter_is_refused(world: World, text: str) -> None:
    with pytest.raises(FilterError):
        find(world.deps, text)


def test_a_delivery_is_shown_as_received(world: World) -> None:
    event = show(world.deps, find(world.deps, "event:e2")[0].id)
    assert (event.headers, event.body, event.encoding) == (
        FRIEND,
        '{"id":"e2","type":"order.updated","items":[["product","B"]]}',
        "utf-8",
    )


def test_a_delivery_shows_what_became_of_each_item(world: World) -> None:
    came = {event: show(world.deps, find(world.deps, f"event:{event}")[0].id).came_of for event in ("e1", "e2", "e3")}
    assert (came["e1"][0].outcome, came["e1"][0].ms) == ("applied", 0)
    waits, letter = came["e2"][0].waits, came["e3"][0].letter
    assert waits is not None
    assert (came["e2"][0].outcome, waits.attempts) == (None, 0)
    assert letter is not None
    assert (came["e3"][0].outcome, letter.state) == ("dead", "dead")


def test_who_does_not_see_the_connection_sees_no_delivery(world: World) -> None:
    narrow = replace(world.deps, principal=Principal("token x", Role.VIEWER, frozenset({"elsewhere"})))
    assert find(narrow, "") == []
    with pytest.raises(Refused, match="there is no event"):
        show(narrow, find(world.deps, "")[0].id)


def test_pages_follow_each_other_without_gap(world: World) -> None:
    first = find(world.deps, "", limit=3)
    rest = find(world.deps, "", limit=3, before_id=first[-1].id)
    assert [row.event_id for row in (*first, *rest)] == ["e4", "e3", "e2", "e1"]


# --- replay ---


def test_a_replayed_event_has_its_items_fetched_again(world: World) -> None:
    replay = show_replay(world.deps, replay_event(world.deps, find(world.deps, "event:e3")[0].id))
    assert (replay.of, replay.items, world.queue.replays) == ("events", 2, [replay.id])


def test_an_ignored_event_has_nothing_to_replay(world: World) -> None:
    with pytest.raises(Refused, match="it names nothing to fetch"):
        replay_event(world.deps, find(world.deps, "event:e4")[0].id)


def test_events_of_a_time_are_replayed_once_per_item(world: World) -> None:
    receive(world, "e5", "B")
    replay = show_replay(world.deps, replay_events(world.deps, "since:30m", "lost half an hour"))
    assert replay.items == 3


def test_a_replay_of_events_is_in_the_audit_log(world: World) -> None:
    replay_events(world.deps, "since:30m", "lost half an hour")
    with world.database.read() as conn:
        assert audit.entries(conn)[0].action == "events.replay"


# --- export and import ---


@pytest.fixture
def other(tmp_path: Path) -> Iterator[World]:
    """An empty installation."""
    with closing(open_database(f"sqlite:///{tmp_path / 'other.db'}")) as database:
        database.migrate()
        yield World(database)


def owed_ids(world: World) -> set[str]:
    with world.database.read() as conn:
        keys = [ItemKey(SHOP, Kind.PRODUCT, item) for item in ("A", "B", "C", 'odd "id"')]
        return {key.external_id for key in keys if owed.is_owed(conn, key)}


def test_what_is_exported_can_be_imported_elsewhere(world: World, other: World) -> None:
    done = import_lines(other.deps, export_lines(world.deps, ""))
    assert (done.new, done.bad) == (4, [])
    assert owed_ids(other) == {"A", "B", "C", 'odd "id"'}


def test_importing_twice_changes_nothing(world: World) -> None:
    before = owed_ids(world)
    done = import_lines(world.deps, list(export_lines(world.deps, "")))
    assert (done.new, done.duplicates, owed_ids(world)) == (0, 4, before)


def line(**fields: Any) -> str:
    body = '{"id": "n1", "type": "changed", "items": [["product", "N"]]}'
    return msgspec.json.encode({"connection": SHOP, "headers": FRIEND, "body": body, **fields}).decode()


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("{", "right would be"),
        ("[]", "right would be"),
        (line(surprise=1), "surprise"),
        (line(connection="elsewhere"), "no connection 'elsewhere'"),
        (line(headers={}), "the word is wrong"),
        (line(body="{}"), "right would be"),
        (line(body=None), 'either "body" or "body_base64"'),
        (line(body=None, body_base64="***"), "right would be"),
        (line(received_at="2026-11-25T08:00:00"), "time zone"),
    ],
)
def test_a_bad_line_is_reported_and_keeps_no_other_out(world: World, bad: str, why: str) -> None:
    done = import_lines(world.deps, [bad, "", line()])
    assert (done.new, [number for number, *_ in done.bad]) == (1, [1])
    assert why in done.bad[0][2]


def test_a_line_that_cannot_be_stored_is_told_and_keeps_no_other_out(world: World) -> None:
    with refusing(world.database, "INSERT", "inbox_events", "NEW.event_id = 'n2'"):
        done = import_lines(world.deps, [line(), line(body='{"id": "n2", "type": "changed", "items": []}')])
    assert (done.new, [number for number, *_ in done.bad]) == (1, [2])
    assert "cannot be stored" in done.bad[0].why


def test_trust_leaves_out_verification_and_the_audit_log_says_so(world: World) -> None:
    done = import_lines(world.deps, [line(headers={"authorization": "Bearer hunter2"})], trust=True)
    assert done.new == 1
    with world.database.read() as conn:
        assert audit.entries(conn)[0].after["verified"] is False
    assert "hunter2" not in str(show(world.deps, find(world.deps, "event:n1")[0].id))


def test_an_imported_delivery_wakes_the_workers(world: World) -> None:
    import_lines(world.deps, [line()])
    assert ItemKey(SHOP, Kind.PRODUCT, "N") in world.queue.enqueued


def test_a_body_that_is_no_text_is_shown_in_base64(world: World) -> None:
    with world.database.begin() as conn:
        delivery = Delivery("raw", "changed", [Change(Kind.PRODUCT, "R")])
        inbox.accept(conn, [Arrival(SHOP, delivery, FRIEND, b"\xff\x00", world.clock() + timedelta(seconds=1))])
    (exported,) = export_lines(world.deps, "event:raw")
    assert msgspec.json.decode(exported)["body_base64"] == "/wA="
    assert show(world.deps, find(world.deps, "event:raw")[0].id).encoding == "base64"


# --- what came of it, exactly ---


def outcome_of(world: World, event: str) -> ItemOutcome:
    (one,) = show(world.deps, find(world.deps, f"event:{event}")[0].id).came_of
    return one


def sync(world: World, item: str) -> None:
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, Kind.PRODUCT, item))


def test_a_change_that_comes_during_a_fetch_is_covered_by_the_next_settlement(world: World) -> None:
    def meanwhile() -> None:
        world.source.meanwhile = lambda: None
        world.clock.pass_(1)
        receive(world, "during", "A")
        world.clock.pass_(1)

    receive(world, "before", "A")
    world.clock.pass_(1)
    world.source.meanwhile = meanwhile
    sync(world, "A")
    world.clock.pass_(1)
    assert (outcome_of(world, "before").ms, outcome_of(world, "during").outcome) == (3000, None)
    sync(world, "A")
    assert (outcome_of(world, "before").ms, outcome_of(world, "during").ms) == (3000, 2000)


def test_a_delivery_shows_how_many_changes_were_settled_with_its_own(world: World) -> None:
    receive(world, "e5", "A")
    receive(world, "e6", "A")
    sync(world, "A")
    assert outcome_of(world, "e5").changes == 2


def test_a_delivery_shows_which_later_ones_name_the_same_item(world: World) -> None:
    receive(world, "e5", "B", "BB")
    receive(world, "e6", "BB")
    assert [one.event_id for one in outcome_of(world, "e2").later] == ["e5"]


def test_a_delivery_settled_long_ago_is_not_owed_because_a_newer_one_is(world: World) -> None:
    receive(world, "e5", "A")
    assert matching(world, "outcome:owed item:A") == ["e5"]


@pytest.mark.parametrize("outcome", ["stale", "held", "gone"])
def test_a_delivery_is_found_by_how_its_item_was_settled(world: World, outcome: str) -> None:
    with world.database.begin() as conn:
        key, now = ItemKey(SHOP, Kind.PRODUCT, "B"), world.clock()
        owed.settle(conn, [(one, outcome) for one in owed.claim(conn, key, more=0, lease=15, now=now)], now)
    assert matching(world, f"outcome:{outcome}") == ["e2"]


def test_a_body_of_json_is_shown_with_line_breaks_too(world: World) -> None:
    pretty = show(world.deps, find(world.deps, "event:e2")[0].id).pretty
    assert pretty is not None
    assert pretty.startswith('{\n  "id": "e2"')


def test_a_filter_by_item_speaks_of_seven_days_unless_it_says_otherwise(world: World) -> None:
    world.clock.pass_(8 * 86_400)
    assert (matching(world, "item:A"), matching(world, "item:A since:30d"), matching(world, "event:e1 item:A")) == (
        [],
        ["e1"],
        ["e1"],
    )


def test_a_delivery_imported_late_is_listed_by_when_it_was_received(world: World) -> None:
    import_lines(world.deps, [line(received_at=world.clock() - timedelta(minutes=30))])
    assert matching(world, "") == ["e1", "n1", "e2", "e3", "e4"]
    first = find(world.deps, "", limit=4)
    assert [row.event_id for row in find(world.deps, "", before_id=first[-1].id)] == ["e1"]


def test_a_replay_of_events_needs_a_filter(world: World) -> None:
    with pytest.raises(Refused, match="say which events"):
        replay_events(world.deps, " ", "everything")


def test_a_replay_of_nothing_but_ignored_events_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="names an item"):
        replay_events(world.deps, "verdict:ignored", "a new type")


def test_a_replay_leaves_out_what_the_caller_does_not_see(world: World) -> None:
    narrow = replace(world.deps, principal=Principal("token x", Role.OPERATOR, frozenset({"elsewhere"})))
    with pytest.raises(Refused, match="names an item"):
        replay_events(narrow, "since:2h", "not mine")


# --- import, at its edges ---


class Timed(PlainReceiver):
    """Takes only what was signed within the minute."""

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        if headers["x-signed"] != f"{now:%F %R}":
            raise SignatureInvalid("too old")


def test_a_signature_is_judged_at_the_time_of_receipt(world: World) -> None:
    world.source.receiver = Timed()
    given: dict[str, Any] = {"headers": {"x-signed": "2026-03-01 08:00"}}
    done = import_lines(world.deps, [line(**given), line(**given, received_at="2026-03-01T09:00:30+01:00")])
    assert (done.new, [number for number, *_ in done.bad]) == (1, [1])


@pytest.mark.parametrize(
    "bad",
    [
        line(body='{"id": "%s", "type": "changed", "items": []}' % ("x" * 501)),
        line(received_at="0001-01-01T00:00:00+14:00"),
        "\udcff",
        "[" * 100_000,
    ],
)
def test_an_absurd_line_keeps_no_other_out(world: World, bad: str) -> None:
    done = import_lines(world.deps, [line(), bad])
    assert (done.new, [number for number, *_ in done.bad]) == (1, [2])


@pytest.mark.parametrize("received_at", ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z"])
def test_a_line_from_before_there_were_webhooks_keeps_no_other_out(world: World, received_at: str) -> None:
    done = import_lines(world.deps, [line(received_at=received_at), line()])
    assert (done.new, [bad.why.endswith("a time since 2000 was expected") for bad in done.bad]) == (1, [True])


def test_a_delivery_dated_in_the_future_is_due_now(world: World) -> None:
    import_lines(world.deps, [line(received_at="9999-12-31T23:59:59Z")])
    with world.database.read() as conn:
        latest = conn.exec_driver_sql("SELECT max(next_at), max(first_seen_at) FROM owed_items").one()
    assert all(str(moment)[:4] == "2026" for moment in latest)


def test_a_nul_in_a_header_keeps_no_delivery_out(world: World) -> None:
    done = import_lines(world.deps, [line(headers={"x-word": "friend", "x-a\x00": "b\x00"})])
    assert (done.new, done.bad) == (1, [])


def test_who_does_not_see_a_connection_cannot_import_into_it(world: World) -> None:
    narrow = replace(world.deps, principal=Principal("token x", Role.OPERATOR, frozenset({"elsewhere"})))
    assert (import_lines(narrow, [line()]).new, matching(world, "event:n1")) == (0, [])


def test_an_import_that_is_interrupted_is_in_the_audit_log(world: World) -> None:
    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_lines(world.deps, [line()], on_progress=interrupt)
    with world.database.read() as conn:
        assert audit.entries(conn)[0].after == {"new": 1, "duplicates": 0, "bad": 0, "verified": True}
