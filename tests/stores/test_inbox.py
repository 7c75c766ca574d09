"""A delivery is stored once and owes its items once, however often and wherever it arrives."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.domain import Change, Delivery, ItemKey, Kind, Verdict
from app.stores import owed
from app.stores.inbox import inbox
from app.stores.inbox.rows import StoredDelivery
from app.stores.sql.engine import Database
from tests.stores.racing import at_once

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BODY = b'{"raw": "\xc3\xa9\x00"}'
KEY = ItemKey("shop", Kind.PRODUCT, "A")


def _arrival(event: str, *items: str, connection: str = "shop", ignored: bool = False, at: int = 0) -> inbox.Arrival:
    changes = [Change(Kind.PRODUCT, item) for item in items]
    delivery = Delivery(event, "product.changed", changes, ignored, occurred_at=NOW - timedelta(seconds=1))
    return inbox.Arrival(connection, delivery, {"x-sign": "abc"}, BODY, NOW + timedelta(seconds=at))


def _accept(database: Database, *arrivals: inbox.Arrival) -> inbox.Accepted:
    with database.begin() as conn:
        return inbox.accept(conn, arrivals)


def _stored(database: Database) -> list[StoredDelivery]:
    """Every delivery, oldest first."""
    with database.read() as conn:
        ids = conn.execute(text("SELECT id FROM inbox_events ORDER BY id")).scalars().all()
        rows = [inbox.get(conn, id) for id in ids]
    return [row for row in rows if row is not None]


def test_a_new_delivery_owes_its_items(database: Database) -> None:
    accepted = _accept(database, _arrival("1", "A"))
    assert accepted == inbox.Accepted(new=1, duplicates=0, owed=[KEY])


def test_a_delivery_seen_before_changes_nothing(database: Database) -> None:
    _accept(database, _arrival("1", "A"))
    assert _accept(database, _arrival("1", "B")) == inbox.Accepted(new=0, duplicates=1, owed=[])


def test_a_delivery_twice_in_one_batch_is_stored_once(database: Database) -> None:
    assert _accept(database, _arrival("1", "A"), _arrival("1", "A")) == inbox.Accepted(1, 1, [KEY])


def test_of_two_in_one_batch_the_first_is_stored(database: Database) -> None:
    assert _accept(database, _arrival("1", "A"), _arrival("1", "B")).owed == [KEY]


def test_one_batch_may_hold_old_and_new(database: Database) -> None:
    _accept(database, _arrival("1", "A"))
    accepted = _accept(database, _arrival("1", "A"), _arrival("2", "A"), _arrival("3", "B"))
    assert (accepted.new, accepted.duplicates, [key.external_id for key in accepted.owed]) == (2, 1, ["B"])


def test_the_same_event_id_of_another_connection_is_another_delivery(database: Database) -> None:
    assert _accept(database, _arrival("1", "A"), _arrival("1", "A", connection="other")).new == 2


def test_many_changes_of_one_item_owe_it_once(database: Database) -> None:
    accepted = _accept(database, *(_arrival(str(number), "A") for number in range(9)))
    with database.begin() as conn:
        (claim,) = owed.claim(conn, KEY, more=0, lease=60, now=NOW)
    assert (accepted.owed, claim.rev) == ([KEY], 9)


def test_an_ignored_delivery_is_stored_but_owes_nothing(database: Database) -> None:
    assert _accept(database, _arrival("1", "A", ignored=True)) == inbox.Accepted(1, 0, [])


def test_an_empty_batch_is_nothing(database: Database) -> None:
    assert _accept(database) == inbox.Accepted(0, 0, [])


def test_an_item_is_as_old_as_its_first_delivery(database: Database) -> None:
    _accept(database, _arrival("1", "A", at=5), _arrival("2", "A", at=2))
    with database.read() as conn:
        assert [first_seen_at for *_, first_seen_at in owed.backlog(conn)] == [NOW + timedelta(seconds=2)]


def test_odd_characters_do_not_fail_the_batch(database: Database) -> None:
    accepted = _accept(database, _arrival("1\x00", "A\x00"), _arrival("2", "B"))
    assert accepted.new == 2


def test_a_delivery_with_odd_characters_is_known_when_it_comes_again(database: Database) -> None:
    _accept(database, _arrival("1\x00", "A"))
    assert _accept(database, _arrival("1\x00", "A")).duplicates == 1


def test_sixteen_threads_that_accept_the_same_deliveries_store_each_once(database: Database) -> None:
    batch = [_arrival(str(number), f"item {number % 7}") for number in range(100)]
    accepted = at_once(16, lambda number: _accept(database, *batch[:: 1 if number % 2 else -1]))
    assert (sum(one.new for one in accepted), len(_stored(database))) == (100, 100)


def test_sixteen_threads_that_accept_the_same_deliveries_wake_each_item_once(database: Database) -> None:
    batch = [_arrival(str(number), f"item {number % 7}") for number in range(100)]
    accepted = at_once(16, lambda number: _accept(database, *batch[:: 1 if number % 2 else -1]))
    assert len([key for one in accepted for key in one.owed]) == 7


def test_a_batch_that_is_rolled_back_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.begin() as conn:
            inbox.accept(conn, [_arrival("1", "A")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _accept(database, _arrival("1", "A")).new == 1


def test_a_stored_delivery_tells_its_items_and_verdict(database: Database) -> None:
    _accept(database, _arrival("1", "A"))
    (event,) = _stored(database)
    assert (event.items, len(event.body), event.verdict) == ([("product", "A")], len(BODY), "accepted")


def test_an_event_keeps_headers_and_raw_body(database: Database) -> None:
    _accept(database, _arrival("1", "A"))
    (event,) = _stored(database)
    assert (event.headers, event.body) == ({"x-sign": "abc"}, BODY)


def test_an_event_keeps_its_times(database: Database) -> None:
    _accept(database, _arrival("1", "A"))
    (event,) = _stored(database)
    assert (event.received_at, event.occurred_at) == (NOW, NOW - timedelta(seconds=1))


def test_an_unknown_event_is_none(database: Database) -> None:
    with database.read() as conn:
        assert inbox.get(conn, 12345) is None


def test_the_last_delivery_of_a_connection_is_known(database: Database) -> None:
    _accept(database, _arrival("1", at=1), _arrival("2", at=3), _arrival("3", connection="other", at=9))
    with database.read() as conn:
        assert inbox.last_received(conn, "shop") == NOW + timedelta(seconds=3)


def test_a_connection_without_deliveries_has_no_last_one(database: Database) -> None:
    with database.read() as conn:
        assert inbox.last_received(conn, "shop") is None


@pytest.mark.parametrize("verdict", [Verdict.FOREIGN, Verdict.TEST])
def test_a_delivery_that_is_not_ours_is_recorded_and_owes_nothing(database: Database, verdict: Verdict) -> None:
    delivery = Delivery("1", "product.changed", [Change(Kind.PRODUCT, "A")], set_aside=verdict)
    accepted = _accept(database, inbox.Arrival("shop", delivery, {}, BODY, NOW))
    kept = [event.verdict for event in _stored(database)]
    assert (accepted.owed, kept) == ([], [verdict.value])
