"""Runs, watermarks and signs of life: one of many processes wins, and what it did is remembered."""

from datetime import UTC, datetime, timedelta

from app.domain import Kind
from app.rules.runs.checkpoint import Checkpoint
from app.rules.runs.kind_counts import KindCounts
from app.rules.runs.progress import Progress
from app.stores.catalog import watermarks
from app.stores.runs import runs
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from app.stores.upkeep import heartbeats
from tests.stores.racing import at_once

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SLOT = datetime(2026, 3, 1, 2, tzinfo=UTC)


def _later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


# --- runs ---


def _open(database: Database, connection: str = "shop", slot: datetime | None = None) -> int | None:
    with database.begin() as conn:
        return runs.open_run(conn, connection=connection, strategy="full", cause="person", slot=slot, now=NOW)


def _opened(database: Database, slot: datetime | None = None) -> int:
    id = _open(database, slot=slot)
    assert id is not None
    return id


def _start(database: Database, id: int, token: str = "t1", now: datetime = NOW) -> Run | None:
    with database.begin() as conn:
        return runs.start(conn, id, token, 60, now)


def _finish(database: Database, id: int, token: str = "t1") -> bool:
    with database.begin() as conn:
        counts = {"product": KindCounts(read=5)}
        runs.save(conn, id, token, checkpoint=Checkpoint(), progress=Progress(), counts=counts, calls=7)
        return runs.finish(conn, id, token, "completed", None, _later(9))


def _get(database: Database, id: int) -> Run:
    with database.read() as conn:
        run = runs.get(conn, id)
    assert run is not None
    return run


def test_a_run_is_opened_idle(database: Database) -> None:
    assert _get(database, _opened(database)).status == "idle"


def test_twenty_that_open_a_run_at_once_get_one(database: Database) -> None:
    assert len([id for id in at_once(20, lambda number: _open(database)) if id]) == 1


def test_another_connection_may_have_its_own_run(database: Database) -> None:
    assert (_open(database), _open(database, "other")).count(None) == 0


def test_a_new_run_may_follow_one_that_is_over(database: Database) -> None:
    id = _opened(database)
    _start(database, id)
    _finish(database, id)
    assert _open(database) is not None


def test_a_slot_is_used_once(database: Database) -> None:
    id = _opened(database, SLOT)
    _start(database, id)
    _finish(database, id)
    assert _open(database, slot=SLOT) is None


def test_a_started_run_is_running(database: Database) -> None:
    run = _start(database, _opened(database))
    assert run is not None
    assert (run.status, run.started_at, run.token, run.kills) == ("running", NOW, "t1", 0)


def test_of_eight_that_start_a_run_one_does(database: Database) -> None:
    id = _opened(database)
    started = at_once(8, lambda number: _start(database, id, f"t{number}"))
    assert len([run for run in started if run]) == 1


def test_a_run_whose_worker_died_is_taken_over(database: Database) -> None:
    id = _opened(database)
    _start(database, id)
    run = _start(database, id, "t2", _later(61))
    assert run is not None
    assert (run.kills, run.token, run.started_at) == (1, "t2", NOW)


def test_a_heartbeat_keeps_a_run(database: Database) -> None:
    id = _opened(database)
    _start(database, id)
    with database.begin() as conn:
        assert runs.heartbeat(conn, id, "t1", _later(600))
    assert _start(database, id, "t2", _later(61)) is None


def test_a_worker_that_was_replaced_learns_it_from_its_heartbeat(database: Database) -> None:
    id = _opened(database)
    _start(database, id)
    _start(database, id, "t2", _later(61))
    with database.begin() as conn:
        assert not runs.heartbeat(conn, id, "t1", _later(600))


def test_a_worker_that_was_replaced_cannot_finish_the_run(database: Database) -> None:
    id = _opened(database)
    _start(database, id)
    _start(database, id, "t2", _later(61))
    assert not _finish(database, id, "t1")


def test_a_finished_run_tells_what_it_did(database: Database) -> None:
    id = _opened(database)
    _start(database, id)
    _finish(database, id)
    run = _get(database, id)
    assert (run.status, run.counts, run.calls, run.finished_at) == (
        "completed",
        {"product": KindCounts(read=5)},
        7,
        _later(9),
    )


def test_a_cancelled_run_ends_at_its_next_heartbeat(database: Database) -> None:
    id = _opened(database)
    _start(database, id)
    with database.begin() as conn:
        assert runs.cancel(conn, id, NOW)
        assert not runs.heartbeat(conn, id, "t1", _later(60))


def test_an_ended_run_cannot_be_cancelled(database: Database) -> None:
    id = _opened(database)
    _start(database, id)
    _finish(database, id)
    with database.begin() as conn:
        assert not runs.cancel(conn, id, NOW)


def _overdue(database: Database, now: datetime) -> list[int]:
    with database.begin() as conn:
        return runs.overdue(conn, now, 60)


def test_an_idle_run_without_a_hint_is_overdue_once(database: Database) -> None:
    id = _opened(database)
    assert [_overdue(database, _later(age)) for age in (0, 59, 60)] == [[id], [], [id]]


def test_a_run_somebody_works_on_is_not_overdue(database: Database) -> None:
    _start(database, _opened(database))
    assert _overdue(database, _later(59)) == []


def test_a_run_whose_worker_died_is_overdue(database: Database) -> None:
    id = _opened(database)
    _start(database, id)
    assert _overdue(database, _later(61)) == [id]


def test_the_latest_runs_come_newest_first(database: Database) -> None:
    first = _opened(database)
    _start(database, first)
    _finish(database, first)
    second = _opened(database)
    with database.read() as conn:
        assert [run.id for run in runs.latest(conn, "shop")] == [second, first]


def test_an_unknown_run_is_none(database: Database) -> None:
    with database.read() as conn:
        assert runs.get(conn, 12345) is None


# --- watermarks ---


def test_there_is_no_watermark_before_the_first_pull(database: Database) -> None:
    with database.read() as conn:
        assert watermarks.get(conn, "shop", Kind.ORDER) is None
        assert watermarks.pulled_at(conn, "shop", Kind.ORDER) is None


def test_a_watermark_moves(database: Database) -> None:
    with database.begin() as conn:
        watermarks.put(conn, "shop", Kind.ORDER, "w1", NOW)
        watermarks.put(conn, "shop", Kind.ORDER, "w2", _later(5))
        assert watermarks.get(conn, "shop", Kind.ORDER) == "w2"


def test_the_time_of_a_pull_is_remembered(database: Database) -> None:
    with database.begin() as conn:
        watermarks.put(conn, "shop", Kind.ORDER, "w1", NOW)
        assert watermarks.pulled_at(conn, "shop", Kind.ORDER) == NOW


# --- beats ---


def test_a_process_is_alive_by_its_last_beat(database: Database) -> None:
    with database.begin() as conn:
        heartbeats.record(conn, "host:1", "worker", NOW, NOW)
        heartbeats.record(conn, "host:1", "worker", NOW, _later(30))
        assert (heartbeats.alive(conn, "worker", _later(30)), heartbeats.alive(conn, "worker", _later(31))) == (1, 0)


def test_the_living_are_counted_by_role(database: Database) -> None:
    with database.begin() as conn:
        heartbeats.record(conn, "host:1", "worker", NOW, NOW)
        heartbeats.record(conn, "host:2", "clock", NOW, NOW)
        assert heartbeats.alive(conn, "worker", NOW) == 1
