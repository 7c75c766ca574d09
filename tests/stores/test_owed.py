"""The dirty set: nothing that changed is forgotten, nothing is worked on twice at once."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, text

from app.domain import ALL_ITEMS, Cause, Change, ItemKey, Kind
from app.stores import owed
from app.stores.letters import attempts
from app.stores.sql.engine import Database, open_database
from tests.stores.racing import at_once

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = ItemKey("shop", Kind.PRODUCT, "A")


def _later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def _remember(database: Database, *ids: str, version: int = 0, now: datetime = NOW) -> list[ItemKey]:
    with database.begin() as conn:
        changes = [Change(Kind.PRODUCT, id, version) for id in ids]
        return owed.owe(conn, "shop", changes, Cause.WEBHOOK, now)


def _claim(database: Database, key: ItemKey = KEY, *, more: int = 0, now: datetime = NOW) -> list[owed.Claim]:
    with database.begin() as conn:
        return owed.claim(conn, key, more=more, lease=60, now=now)


def _settle(database: Database, *claims: owed.Claim, now: datetime = NOW) -> list[ItemKey]:
    with database.begin() as conn:
        return owed.settle(conn, [(claim, "applied") for claim in claims], now)


def _count(database: Database) -> int:
    with database.read() as conn:
        return owed.count(conn)


def _settlements(database: Database) -> list[tuple[str, str, int]]:
    with database.read() as conn:
        rows = conn.execute(text("SELECT external_id, outcome, changes FROM settlements ORDER BY id"))
        return [tuple(row) for row in rows]


def _overdue(database: Database, now: datetime, limit: int = 100) -> list[ItemKey]:
    with database.begin() as conn:
        return [item.key for item in owed.overdue(conn, now=now, requeue_after=60, limit=limit)]


# --- remember ---


def test_a_first_change_needs_a_wake_up(database: Database) -> None:
    assert _remember(database, "A") == [KEY]


def test_a_further_change_needs_no_wake_up(database: Database) -> None:
    _remember(database, "A")
    assert _remember(database, "A") == []


def test_two_changes_of_one_item_at_once_need_one_wake_up(database: Database) -> None:
    assert _remember(database, "A", "A") == [KEY]


def test_every_change_is_counted(database: Database) -> None:
    _remember(database, "A", "A")
    _remember(database, "A")
    assert _claim(database)[0].rev == 3


def test_the_newest_version_hint_is_kept(database: Database) -> None:
    _remember(database, "A", version=7)
    _remember(database, "A", version=5)
    assert _claim(database)[0].version == 7


def test_the_age_counts_from_the_first_change(database: Database) -> None:
    _remember(database, "A")
    _remember(database, "A", now=_later(30))
    assert _claim(database, now=_later(30))[0].first_seen_at == NOW


def test_an_item_remembered_by_a_fast_clock_is_due_for_a_slow_one(database: Database) -> None:
    _remember(database, "A", now=_later(2))
    assert _claim(database, now=NOW)


def test_remembering_nothing_is_nothing(database: Database) -> None:
    assert _remember(database) == []


def test_an_id_with_a_nul_character_is_stored(database: Database) -> None:
    assert _remember(database, "A\x00B") == [ItemKey("shop", Kind.PRODUCT, "A\N{REPLACEMENT CHARACTER}B")]


def test_sixteen_threads_that_remember_one_item_wake_it_once(database: Database) -> None:
    enqueued = at_once(16, lambda number: _remember(database, "A", "B"))
    assert sorted(key.external_id for keys in enqueued for key in keys) == ["A", "B"]


def test_threads_that_remember_items_in_opposite_orders_all_get_through(database: Database) -> None:
    names = [f"item {number}" for number in range(50)]
    at_once(8, lambda number: [_remember(database, *names[:: 1 if number % 2 else -1]) for _ in range(5)])
    assert {claim.rev for claim in _claim(database, ItemKey("shop", Kind.PRODUCT, names[0]), more=50)} == {40}


# --- claim ---


def test_a_claim_is_a_lease_that_excludes_others(database: Database) -> None:
    _remember(database, "A")
    _claim(database)
    assert _claim(database, now=_later(59)) == []


def test_an_item_nobody_owes_cannot_be_claimed(database: Database) -> None:
    assert _claim(database) == []


def test_an_expired_lease_is_taken_over_as_a_kill(database: Database) -> None:
    _remember(database, "A")
    _claim(database)
    assert [claim.crashes for claim in _claim(database, now=_later(61))] == [1]


def test_an_item_that_waits_for_its_next_try_cannot_be_claimed(database: Database) -> None:
    _remember(database, "A")
    (claim,) = _claim(database)
    with database.begin() as conn:
        owed.fail(conn, claim, next_at=_later(300))
    assert _claim(database, now=_later(299)) == []


def test_a_claim_takes_others_along_behind_the_item_itself(database: Database) -> None:
    _remember(database, "B", "C", "A", "D")
    claims = _claim(database, ItemKey("shop", Kind.PRODUCT, "C"), more=2)
    assert (claims[0].key.external_id, len({claim.key for claim in claims})) == ("C", 3)


def test_a_claim_takes_neighbours_of_either_side_along(database: Database) -> None:
    _remember(database, *"ABCDE")
    claims = _claim(database, ItemKey("shop", Kind.PRODUCT, "C"), more=9)
    assert {claim.key.external_id for claim in claims} == set("ABCDE")


def test_an_item_that_failed_is_not_taken_along(database: Database) -> None:
    _remember(database, "A", "B")
    (claim,) = _claim(database)
    with database.begin() as conn:
        owed.fail(conn, claim, next_at=NOW)
    assert [claim.key.external_id for claim in _claim(database, ItemKey("shop", Kind.PRODUCT, "B"), more=9)] == ["B"]


def test_a_postponed_claim_counts_no_attempt(database: Database) -> None:
    _remember(database, "A")
    (claim,) = _claim(database)
    with database.begin() as conn:
        owed.postpone(conn, [claim], next_at=_later(30))
    assert [again.attempts for again in _claim(database, now=_later(30))] == [0]


def test_a_claim_takes_nothing_along_when_the_item_itself_is_taken(database: Database) -> None:
    _remember(database, "A", "B")
    _claim(database)
    assert _claim(database, more=5) == []


def test_a_claim_takes_no_other_kind_along(database: Database) -> None:
    _remember(database, "A")
    with database.begin() as conn:
        owed.owe(conn, "shop", [Change(Kind.ORDER, "B")], Cause.POLL, NOW)
    assert len(_claim(database, more=5)) == 1


def test_a_claim_takes_no_other_connection_along(database: Database) -> None:
    _remember(database, "A")
    with database.begin() as conn:
        owed.owe(conn, "other", [Change(Kind.PRODUCT, "B")], Cause.POLL, NOW)
    assert len(_claim(database, more=5)) == 1


@pytest.mark.parametrize("name", ["A", ALL_ITEMS])
def test_the_whole_of_a_kind_is_never_claimed_together_with_items(database: Database, name: str) -> None:
    _remember(database, "A", ALL_ITEMS)
    assert len(_claim(database, ItemKey("shop", Kind.PRODUCT, name), more=5)) == 1


def test_of_eight_threads_one_claims_the_item(database: Database) -> None:
    _remember(database, "A")
    claims = at_once(8, lambda number: _claim(database))
    assert sorted(map(len, claims)) == [0] * 7 + [1]


def test_eight_threads_that_take_others_along_never_share_one(database: Database) -> None:
    names = [f"{number:03}" for number in range(80)]
    _remember(database, *names)
    claims = at_once(8, lambda number: _claim(database, ItemKey("shop", Kind.PRODUCT, names[number]), more=9))
    keys = [claim.key for mine in claims for claim in mine]
    assert len(keys) == len(set(keys))


def test_an_extended_claim_outlives_its_first_lease(database: Database) -> None:
    _remember(database, "A")
    claims = _claim(database)
    with database.begin() as conn:
        owed.extend(conn, claims, until=_later(600))
    assert _claim(database, now=_later(599)) == []


def test_a_released_claim_can_be_claimed_again_without_a_kill(database: Database) -> None:
    _remember(database, "A")
    claims = _claim(database)
    with database.begin() as conn:
        owed.release(conn, claims)
    assert [claim.crashes for claim in _claim(database)] == [0]


def test_a_failed_claim_counts_an_attempt(database: Database) -> None:
    _remember(database, "A")
    (claim,) = _claim(database)
    with database.begin() as conn:
        owed.fail(conn, claim, next_at=_later(30))
    assert [again.attempts for again in _claim(database, now=_later(30))] == [1]


def test_a_worker_that_was_replaced_cannot_fail_the_item(database: Database) -> None:
    _remember(database, "A")
    (lost,) = _claim(database)
    _claim(database, now=_later(61))
    with database.begin() as conn:
        owed.fail(conn, lost, next_at=_later(900))
    assert [claim.attempts for claim in _claim(database, now=_later(200))] == [0]


# --- settle ---


def test_a_settled_item_is_owed_no_longer(database: Database) -> None:
    _remember(database, "A", "B")
    _settle(database, *_claim(database, more=1))
    assert _count(database) == 0


def test_a_settlement_tells_the_outcome_and_the_changes_covered(database: Database) -> None:
    _remember(database, "A", "A")
    _settle(database, *_claim(database))
    assert _settlements(database) == [("A", "applied", 2)]


def test_a_change_during_the_work_keeps_the_item_owed(database: Database) -> None:
    _remember(database, "A")
    claims = _claim(database)
    _remember(database, "A")
    assert _settle(database, *claims) == [KEY]


def test_an_item_kept_is_due_at_once(database: Database) -> None:
    _remember(database, "A")
    claims = _claim(database)
    _remember(database, "A")
    _settle(database, *claims, now=_later(5))
    assert [claim.crashes for claim in _claim(database, now=_later(5))] == [0]


def test_an_item_kept_counts_its_age_from_the_claim(database: Database) -> None:
    _remember(database, "A")
    claims = _claim(database, now=_later(3))
    _remember(database, "A", now=_later(4))
    _settle(database, *claims, now=_later(5))
    assert _claim(database, now=_later(5))[0].first_seen_at == _later(3)


def test_a_claim_that_was_taken_over_settles_nothing(database: Database) -> None:
    _remember(database, "A")
    lost = _claim(database)
    _claim(database, now=_later(61))
    _settle(database, *lost)
    assert (_count(database), _settlements(database)) == (1, [])


def test_settling_forgets_the_failed_attempts(database: Database) -> None:
    _remember(database, "A")
    (claim,) = _claim(database)
    name = owed.message_key(KEY)
    with database.begin() as conn:
        attempts.record(conn, name, number=1, at=NOW, worker="w", error=ValueError("no"))
        owed.fail(conn, claim, next_at=NOW)
    _settle(database, *_claim(database))
    with database.read() as conn:
        assert attempts.of(conn, name) == []


def test_settling_nothing_is_nothing(database: Database) -> None:
    assert _settle(database) == []


def _change_while_settling(database: Database, claims: list[owed.Claim]) -> list[list[ItemKey]]:
    return at_once(2, lambda number: _remember(database, "A") if number else _settle(database, *claims))


def test_no_change_is_lost_between_settling_and_remembering(database: Database) -> None:
    """Whatever the order of the two, either the change was covered by a claim or the item is still owed."""
    for _ in range(10):
        _remember(database, "A")
        claims = _claim(database)
        _change_while_settling(database, claims)
        assert _count(database) == 1
        again = _claim(database)
        assert len(again) == 1
        _settle(database, *again)


def test_either_the_settling_or_the_change_asks_for_the_wake_up(database: Database) -> None:
    for _ in range(10):
        _remember(database, "A")
        claims = _claim(database)
        asked = _change_while_settling(database, claims)
        assert [key for keys in asked for key in keys] == [KEY]
        _settle(database, *_claim(database))


def test_batches_settle_against_receivers_without_deadlock(database: Database) -> None:
    names = [f"{number:02}" for number in range(40)]

    def work(number: int) -> None:
        for _ in range(5):
            if number % 2:
                _remember(database, *names)
            else:
                _settle(database, *reversed(_claim(database, ItemKey("shop", Kind.PRODUCT, names[number]), more=20)))

    at_once(8, work)
    assert _count(database) <= len(names)


# --- pulls ---


def _noted(database: Database) -> list[owed.Noted]:
    with database.read() as conn:
        return owed.noted(conn, "shop", Kind.PRODUCT)


def _settle_noted(database: Database, noted: list[owed.Noted]) -> int:
    with database.begin() as conn:
        return owed.settle_noted(conn, noted, "applied", NOW)


def test_a_pull_settles_what_was_owed_before_it(database: Database) -> None:
    _remember(database, "A", "B")
    assert (_settle_noted(database, _noted(database)), _count(database)) == (2, 0)


def test_a_pull_does_not_settle_what_changed_meanwhile(database: Database) -> None:
    _remember(database, "A")
    noted = _noted(database)
    _remember(database, "A")
    assert _settle_noted(database, noted) == 0


def test_a_pull_does_not_settle_an_item_settled_and_owed_again_meanwhile(database: Database) -> None:
    _remember(database, "A")
    noted = _noted(database)
    _settle(database, *_claim(database))
    _remember(database, "A", now=_later(1))
    assert _settle_noted(database, noted) == 0


def test_a_pull_leaves_an_item_to_the_worker_that_has_it(database: Database) -> None:
    _remember(database, "A")
    noted = _noted(database)
    _claim(database)
    assert _settle_noted(database, noted) == 0


def test_a_pull_writes_settlements(database: Database) -> None:
    _remember(database, "A", "A")
    _settle_noted(database, _noted(database))
    assert _settlements(database) == [("A", "applied", 2)]


def test_deferred_items_wait(database: Database) -> None:
    _remember(database, "A")
    with database.begin() as conn:
        owed.defer(conn, "shop", Kind.PRODUCT, _later(120))
    assert _claim(database, now=_later(119)) == []


def test_the_whole_of_a_kind_is_not_deferred(database: Database) -> None:
    _remember(database, ALL_ITEMS)
    with database.begin() as conn:
        assert owed.defer(conn, "shop", Kind.PRODUCT, _later(120)) == 0


def test_an_item_somebody_works_on_is_not_deferred(database: Database) -> None:
    _remember(database, "A")
    _claim(database)
    with database.begin() as conn:
        assert owed.defer(conn, "shop", Kind.PRODUCT, _later(120)) == 0


# --- sweep ---


def test_an_item_never_hinted_is_overdue(database: Database) -> None:
    _remember(database, "A")
    assert _overdue(database, NOW) == [KEY]


def test_an_item_just_hinted_is_not_overdue(database: Database) -> None:
    _remember(database, "A")
    _overdue(database, NOW)
    assert _overdue(database, _later(59)) == []


def test_an_item_hinted_long_ago_is_overdue_again(database: Database) -> None:
    _remember(database, "A")
    _overdue(database, NOW)
    assert _overdue(database, _later(60)) == [KEY]


def test_an_item_somebody_works_on_is_not_overdue(database: Database) -> None:
    _remember(database, "A")
    _claim(database)
    assert _overdue(database, _later(30)) == []


def test_an_item_whose_worker_died_is_overdue_as_soon_as_the_lease_ends(database: Database) -> None:
    _remember(database, "A")
    _overdue(database, NOW)
    _claim(database, now=_later(1))
    assert _overdue(database, _later(61.5)) == [KEY]


def test_an_item_that_failed_is_overdue_as_soon_as_its_next_try_is_due(database: Database) -> None:
    _remember(database, "A")
    _overdue(database, NOW)
    (claim,) = _claim(database)
    with database.begin() as conn:
        owed.fail(conn, claim, next_at=_later(5))
    assert (_overdue(database, _later(4)), _overdue(database, _later(5))) == ([], [KEY])


def test_the_longest_due_are_hinted_first(database: Database) -> None:
    for age, name in enumerate("CBA"):
        _remember(database, name, now=_later(age))
    assert [key.external_id for key in _overdue(database, _later(10), limit=2)] == ["C", "B"]


def test_two_sweeps_at_once_hint_each_item_once(database: Database) -> None:
    _remember(database, *(f"{number}" for number in range(100)))
    hinted = at_once(4, lambda number: _overdue(database, NOW, limit=50))
    keys = [key for mine in hinted for key in mine]
    assert len(keys) == len(set(keys))


def test_the_backlog_tells_number_and_age_by_kind(database: Database) -> None:
    _remember(database, "A", now=_later(-50))
    _remember(database, "B")
    with database.read() as conn:
        assert owed.backlog(conn) == [("shop", Kind.PRODUCT, 2, _later(-50))]


def test_counting_can_be_limited_to_a_connection(database: Database) -> None:
    _remember(database, "A")
    with database.read() as conn:
        assert (owed.count(conn, "shop"), owed.count(conn, "other"), owed.count(conn)) == (1, 0, 1)


def test_a_plan_kept_from_a_quiet_hour_does_not_read_a_whole_backlog(postgres_url: str) -> None:
    with closing(open_database(postgres_url, pool=1)) as database:
        for _ in range(12):  # the driver keeps a statement's plan from its fifth time on
            _remember(database, "A", "B")
            _settle(database, *_claim(database, more=9))
        _remember(database, *(f"{number:05}" for number in range(3000)))
        with database.begin() as conn:
            before = _rows_read(conn)
            claims = owed.claim(conn, ItemKey("shop", Kind.PRODUCT, "01500"), more=9, lease=60, now=NOW)
            owed.settle(conn, [(claim, "applied") for claim in claims], NOW)
            read = _rows_read(conn) - before
    assert read < 500


def _rows_read(conn: Connection) -> int:
    """Owed rows that this session has read and not reported yet: with those of earlier transactions, if it reported none of
    them within the last second."""
    query = """
        SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
        WHERE relname = 'owed_items'
    """
    return int(conn.execute(text(query)).scalar_one())
