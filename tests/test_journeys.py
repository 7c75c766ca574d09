"""The whole road on real processes: two vendors, faults, a lost queue, a killed worker; in the end equal tables."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.stack import Stack, differences, eventually, lost, running

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1200)]

ROUNDS = 40
CHANGES_PER_ROUND = 26
FAULTS = {"drop": 0.05, "duplicate": 0.15, "reorder": 0.15, "delay": 0.05}


@pytest.fixture
def stack(database_url: str, tmp_path: Path) -> Iterator[Stack]:
    mixed = ["--queues", "live,bulk", "--threads", "8"]
    with running(
        database_url,
        tmp_path,
        shop={"products": 150, "seed": 7},
        workers={"worker-1": mixed, "worker-2": mixed},
        TALLYHOOK_POLL_CRON="* * * * *",
        TALLYHOOK_RECONCILE_CRON="0 0 1 1 *",  # full runs are this test's own
        TALLYHOOK_GUARD_SHARE="0.9",  # within seconds this shop may lose a third of its nine categories
    ) as started:
        yield started
        print(started.logs())  # shown when the test has failed


def owed(stack: Stack) -> int:
    return int(stack.sql("SELECT count(*) AS n FROM owed_items")[0]["n"])


def test_every_table_ends_equal_to_the_vendors_truth(stack: Stack) -> None:
    wrong, traffic = partial(differences, stack), partial(_traffic, stack)
    loaded = eventually(lambda: _loaded(stack) and not wrong(), within=120, progress=wrong)
    assert loaded, differences(stack)[:10]

    for simulated in stack.simulated.values():
        simulated.faults(**FAULTS)
    for round_ in range(ROUNDS):
        for simulated in stack.simulated.values():
            simulated.change(CHANGES_PER_ROUND)
        if round_ == ROUNDS // 3:
            stack.lose_queue()
        if round_ == ROUNDS // 2:
            stack.kill("worker-1")
        time.sleep(0.1)  # the shop's pace: changes must overlap with syncing, not come all at once
    for simulated in stack.simulated.values():
        simulated.faults(**dict.fromkeys(FAULTS, 0.0))

    quiet = eventually(lambda: not _pending(stack) and owed(stack) == 0, within=120, progress=traffic)
    assert quiet, (_traffic(stack), stack.sql("SELECT * FROM owed_items LIMIT 5"))
    # Within minutes this shop may delete as much as others do in months: a person who knows it says that this was meant.
    equal = eventually(lambda: not (stack.release_holds() or wrong()), within=150, every=2, progress=wrong)
    assert equal, (differences(stack)[:10], stack.sql("SELECT * FROM holds"))

    assert lost(stack) == []
    assert stack.sql("SELECT * FROM dead_letters") == []
    for name in stack.simulated:
        assert eventually(partial(stack.reconcile, name), within=300)
    finished = (
        "SELECT connection, status, counts FROM runs WHERE status IN ('completed', 'failed') AND cause = 'person'"
    )
    runs = eventually(lambda: len(result := stack.sql(finished)) == len(stack.simulated) and result, within=300)
    assert [run["status"] for run in runs] == ["completed"] * len(stack.simulated)
    assert stack.sql("SELECT kind, item, change, fields, cause FROM drift WHERE run_id IS NOT NULL") == []


def _loaded(stack: Stack) -> bool:
    rows = stack.sql("SELECT count(*) AS n FROM watermarks")
    return bool(rows[0]["n"] >= 9)


def _pending(stack: Stack) -> int:
    return sum(int(one.status()["webhooks"]["pending"]) for one in stack.simulated.values())


def _traffic(stack: Stack) -> object:
    """What changes as long as deliveries arrive and are worked off."""
    return owed(stack), [one.status()["webhooks"]["pending"] for one in stack.simulated.values()]
