"""What settlements and runs come to is the same whether slots were summed, by one or by many, or not at all."""

from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import insert
from sqlmodel import SQLModel

from app.stores.reports import counts, metrics, settled
from app.stores.reports.settled import LATE, SLOT, Settled
from app.stores.sql.engine import Database
from tests.fakes import SHOP, Clock

NOW = Clock()()
WEEK = NOW - timedelta(days=7)


def table(name: str) -> Any:
    return SQLModel.metadata.tables[name]


def settle(database: Database, ago: float, waited: float = 1.0, **fields: Any) -> None:
    """One settlement so many seconds ago, first seen ``waited`` seconds before."""
    at = NOW - timedelta(seconds=ago)
    row = {"connection": SHOP, "kind": "product", "external_id": "A", "cause": "webhook", "outcome": "applied"}
    moments = {"first_seen_at": at - timedelta(seconds=waited), "settled_at": at}
    with database.begin() as conn:
        conn.execute(insert(table("settlements")), {**row, "changes": 1, "attempts": 0, **moments, **fields})


def totals(database: Database, days: float = 7) -> list[Settled]:
    with database.read() as conn:
        return settled.totals(conn, NOW - timedelta(days=days), NOW)


def sum_all(database: Database) -> int:
    """Sum until nothing is left; returns how many rows that made."""
    return sum(iter(lambda: settled.sum_slots(database, NOW), 0))


def add_run(database: Database, seconds: float | None = 10, *, ago: float = 3600, **fields: Any) -> None:
    began = NOW - timedelta(seconds=ago)
    row = {"connection": SHOP, "strategy": "full", "cause": "schedule", "status": "completed", "created_at": began}
    ended = None if seconds is None else began + timedelta(seconds=seconds)
    with database.begin() as conn:
        conn.execute(insert(table("runs")), {**row, "started_at": began, "finished_at": ended, **fields})


def scattered(database: Database) -> None:
    for ago in (5, 700, 86_400, 86_400 * 3, 86_400 * 6.5):
        settle(database, ago)
        settle(database, ago, 30, kind="stock", changes=4)
        settle(database, ago, 300, outcome="dead")
        settle(database, ago, 2, external_id="*")


# --- settlements ---


def test_nothing_settled_comes_to_nothing(database: Database) -> None:
    assert totals(database) == []


def test_settlements_are_told_by_how_long_they_waited(database: Database) -> None:
    for waited in (1, 5, 5.001, 60, 61):
        settle(database, 30, waited)
    [sums] = totals(database)
    assert (sums.items, sums.in_five, sums.in_sixty, sums.waited_ms) == (5, 2, 4, 132_001)


def test_a_look_at_a_whole_kind_is_no_item(database: Database) -> None:
    settle(database, 30, external_id="*", changes=9)
    assert totals(database) == [Settled(SHOP, "product", "applied", 0, 1, 0, 0, 0, 0)]


def test_summing_slots_changes_no_figure(database: Database) -> None:
    scattered(database)
    before = totals(database)
    assert sum_all(database) > 0
    assert totals(database) == before


def test_what_is_summed_is_not_read_again(database: Database) -> None:
    scattered(database)
    sum_all(database)
    before = totals(database)
    with database.begin() as conn:
        old = table("settlements").c.settled_at < NOW - timedelta(hours=1)
        conn.execute(table("settlements").delete().where(old))
    assert totals(database) == before


def test_summing_again_makes_nothing(database: Database) -> None:
    scattered(database)
    sum_all(database)
    assert sum_all(database) == 0


def test_what_is_settled_after_the_summing_counts(database: Database) -> None:
    settle(database, 86_400)
    sum_all(database)
    settle(database, 5)
    assert [sums.items for sums in totals(database)] == [2]


def test_a_slot_stays_open_while_settlements_may_still_come_to_light(database: Database) -> None:
    settle(database, 0)
    over = settled.slot_of(NOW) + SLOT + LATE
    assert settled.sum_slots(database, over - timedelta(seconds=1)) == 0
    assert settled.sum_slots(database, over) == 1


def test_two_clocks_that_sum_at_once_count_nothing_twice(database: Database) -> None:
    scattered(database)
    before = totals(database)
    together = Barrier(2)

    def sum_() -> None:
        together.wait(60)
        sum_all(database)

    threads = [Thread(target=sum_) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert totals(database) == before


def test_what_is_older_than_asked_for_does_not_count(database: Database) -> None:
    settle(database, 86_400 * 8)
    settle(database, 86_400)
    sum_all(database)
    assert [sums.items for sums in totals(database)] == [1]
    assert [sums.items for sums in totals(database, days=9)] == [2]


def test_the_slot_that_the_asked_time_begins_in_counts_whole(database: Database) -> None:
    settle(database, 86_400 * 7)
    sum_all(database)
    with database.read() as conn:
        since = NOW - timedelta(days=7) + SLOT / 2
        assert [sums.items for sums in settled.totals(conn, since, NOW)] == [1]


def test_a_gap_longer_than_a_chunk_is_summed_over(database: Database) -> None:
    settle(database, 86_400 * 30)
    settle(database, 86_400)
    assert sum_all(database) == 2


# --- runs ---


def test_runs_are_counted_by_strategy_and_status(database: Database) -> None:
    for status, strategy in (("completed", "full"), ("failed", "full"), ("failed", "full"), ("failed", "stock")):
        add_run(database, status=status, strategy=strategy)
    with database.read() as conn:
        found = [(row.strategy, row.status, row.runs) for row in metrics.run_sums(conn, WEEK, SHOP)]
    assert found == [("full", "completed", 1), ("full", "failed", 2), ("stock", "failed", 1)]


def test_runs_of_others_rehearsals_and_older_ones_do_not_count(database: Database) -> None:
    add_run(database, connection="other")
    add_run(database, dry=True)
    add_run(database, ago=86_400 * 8)
    with database.read() as conn:
        assert metrics.run_sums(conn, WEEK, SHOP) == []


def test_all_connections_are_told_apart(database: Database) -> None:
    add_run(database)
    add_run(database, connection="other")
    with database.read() as conn:
        runs = [one for one in counts.counts(conn) if one.name == "runs_total"]
    assert [one.labels["connection"] for one in runs] == ["other", SHOP]


def test_runs_ever_are_counted_however_old_but_no_rehearsals(database: Database) -> None:
    add_run(database, calls=3)
    add_run(database, ago=86_400 * 800, calls=4)
    add_run(database, dry=True, calls=5)
    with database.read() as conn:
        found = [one for one in counts.counts(conn) if "connection" in one.labels]
    of_run = {"connection": SHOP, "strategy": "full", "status": "completed"}
    assert found == [counts.Count("runs_total", of_run, 2), counts.Count("run_api_calls_total", of_run, 7)]


def test_items_and_seconds_are_of_finished_runs_that_told(database: Database) -> None:
    add_run(database, 10, progress='{"processed":500,"failed":2}', calls=3)
    add_run(database, 20, progress='{"marks":[]}', calls=4)
    add_run(database, 40, progress="{}")
    add_run(database, None, status="running", progress='{"processed":7}')
    with database.read() as conn:
        sums = metrics.run_sums(conn, WEEK, SHOP)[0]
    assert (sums.items, sums.failed, sums.calls, round(sums.seconds, 3)) == (500, 2, 7, 30.0)


def test_percentiles_are_by_nearest_rank(database: Database) -> None:
    for seconds in range(1, 101):
        add_run(database, seconds, ago=3600 + seconds)
    add_run(database, 100, strategy="stock")
    with database.read() as conn:
        found = {row.strategy: (row.runs, round(row.p50, 3), round(row.p95, 3)) for row in _durations(conn)}
    assert found == {"": (101, 51, 96), "full": (100, 50, 95), "stock": (1, 100, 100)}


def test_a_failed_run_has_no_duration(database: Database) -> None:
    add_run(database, status="failed")
    with database.read() as conn:
        assert _durations(conn) == []


def test_agreement_is_the_newest_of_each_kind(database: Database) -> None:
    add_run(database, counts='{"product":{"agreement":0.5},"stock":{"agreement":0.75}}', ago=7200)
    add_run(database, counts='{"product":{"agreement":0.9},"order":{"read":3}}')
    with database.read() as conn:
        found = [(row.kind, row.share) for row in metrics.agreement(conn, WEEK)]
    assert found == [("product", 0.9), ("stock", 0.75)]


def test_an_agreement_of_nothing_does_not_hide_one_of_something(database: Database) -> None:
    add_run(database, counts='{"product":{"agreement":0.5}}', ago=7200)
    add_run(database, counts='{"product":{"agreement":null}}')
    with database.read() as conn:
        assert [row.share for row in metrics.agreement(conn, WEEK)] == [0.5]


@pytest.mark.parametrize("state", ["replayed", "discarded"])
def test_a_letter_that_was_seen_to_does_not_wait(database: Database, state: str) -> None:
    _letter(database, "1", "dead", SHOP)
    _letter(database, "2", state, SHOP)
    _letter(database, "3", "dead", None)
    with database.read() as conn:
        assert metrics.dead_letters(conn) == {SHOP: 1}


def _durations(conn: Any) -> list[metrics.Durations]:
    return metrics.durations(conn, WEEK, SHOP)


def _letter(database: Database, id: str, state: str, connection: str | None) -> None:
    told: dict[str, str | None] = {
        "actor": "sync_item",
        "queue": "live",
        "args": "[]",
        "error_type": "X",
        "error": "x",
        "attempts": "[]",
    }
    told["external_id"] = f"P{id}" if connection else None
    row = {"message_id": id, "state": state, "connection": connection, "first_failed_at": NOW, "died_at": NOW}
    with database.begin() as conn:
        conn.execute(insert(table("dead_letters")), {**told, **row, "replays": 0})
