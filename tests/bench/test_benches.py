"""Every bench in its smallest form: it runs, and its answers are right. What it measures here means nothing."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.stores.sql.engine import open_database
from tests.bench import (
    drain,
    items,
    latency,
    letters,
    outcomes,
    questions,
    receiver,
    reconcile,
    reconcile_files,
    recovery,
    servers,
    storm,
)
from tests.bench.__main__ import BENCHES
from tests.bench.installation import Installation, installed
from tests.bench.questions_data import Sizes


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    """An installation whose processes run; the benches that need one share it."""
    with installed("sqlite") as place:
        place.web()
        with place.workers():
            yield place


def test_every_bench_is_tried_here() -> None:
    tried = {name.removeprefix("test_").partition("_")[0] for name in globals() if name.startswith("test_")}
    assert set(BENCHES) <= tried


def test_reconcile_leaves_the_same_rows_on_both_sides(tmp_path: Path) -> None:
    reconcile_files.make(tmp_path, products=200, stock=500)
    rows = []
    for side in reconcile.SIDES:
        url = f"sqlite:///{tmp_path / side}.db"
        with closing(open_database(url)) as database:
            database.migrate()
        rows.append([reconcile.measure(side, tmp_path / state, url)["rows"] for state in ("before", "after")])
    assert rows[0] == rows[1]


def test_letters_are_all_sent() -> None:
    letters.measure("sqlite", 100, rounds=1)


def test_outcomes_are_found() -> None:
    outcomes.measure("sqlite", 500, rounds=1)


def test_questions_are_answered() -> None:
    questions.bench("sqlite", Sizes.at(0.0005), rounds=1)


def test_items_are_found_and_explained() -> None:
    items.bench("sqlite", 200, 2_000, rounds=1)


@pytest.mark.journey
def test_recovery_renews_all_leases() -> None:
    recovery.leases("sqlite", 200)


@pytest.mark.journey
def test_latency_is_of_one_call_for_each_event(place: Installation) -> None:
    waits = latency.measure(place, "A", rate=5, seconds=2)
    assert (len(waits.received), waits.calls) == (10, 1.0)


@pytest.mark.journey
def test_drain_applies_every_item(place: Installation) -> None:
    drain.owe(place, 20)
    assert drain.drained(place, 20) > 0


@pytest.mark.journey
def test_storm_costs_fewer_calls_than_it_has_events(place: Installation) -> None:
    before = place.calls()
    storm.send(place, receiver.wire(200, 10))
    place.await_settled(120)
    storm.check(place, 200, 10)
    assert place.calls() - before < 200


@pytest.mark.journey
def test_receiver_takes_every_event(place: Installation) -> None:  # after the storm, which counts its own
    plain = {**place.environment, "TALLYHOOK_PORT": str(servers.free_port())}
    with receiver.started("session", plain):
        taken = [receiver.timed(port, 50, 4) for port in (int(plain["TALLYHOOK_PORT"]), place.port)]
    assert [set(figures.statuses) for figures in taken] == [{202}, {202}]
