"""The whole road on real processes: two vendors, faults, a lost queue, a killed worker; in the end equal tables."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.stack import Stack, difference, eventually, running

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]

ROUNDS = 40
CHANGES_PER_ROUND = 26
FAULTS = {"drop": 0.05, "duplicate": 0.15, "reorder": 0.15, "delay": 0.05}


@pytest.fixture
def stack(database_url: str) -> Iterator[Stack]:
    # The vendors' real call budgets would stretch minutes into hours; tests/sources/finale proves that they are kept.
    every = {"products": 150, "seed": 7}
    with running(
        database_url,
        simulators={"finale": {**every, "rate_get": 0, "rate_lists": 0}, "square": {**every, "time_scale": 3600}},
        connections={"finale": {"gets_per_minute": "60000", "reads_per_hour": "600000", "stock_pace": "1"}},
        TALLYHOOK_POLL_CRON="* * * * *",
    ) as started:
        yield started


def differences(stack: Stack) -> list[str]:
    kinds = {
        name: stack.sql("SELECT DISTINCT kind FROM watermarks WHERE connection = :c", c=name)
        for name in stack.simulated
    }
    return [
        f"{name}: {line}"
        for name, found in kinds.items()
        for row in found
        for line in difference(stack, name, row["kind"])
    ]


def owed(stack: Stack) -> int:
    return int(stack.sql("SELECT count(*) AS n FROM owed_items")[0]["n"])


def test_every_table_ends_equal_to_the_vendors_truth(stack: Stack) -> None:
    loaded = eventually(lambda: _loaded(stack) and not differences(stack), within=60)
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

    quiet = eventually(lambda: not _pending(stack) and owed(stack) == 0, within=120)
    assert quiet, (owed(stack), stack.sql("SELECT * FROM owed_items LIMIT 5"))
    equal = eventually(lambda: not differences(stack), within=150, every=2)
    assert equal, (differences(stack)[:10], stack.sql("SELECT * FROM holds"))

    assert _lost(stack) == {}
    assert stack.sql("SELECT * FROM dead_letters") == []
    for name in stack.simulated:
        assert eventually(lambda name=name: _asked_for_a_full_run(stack, name), within=60)
    finished = (
        "SELECT connection, status, counts FROM runs WHERE status IN ('completed', 'failed') AND cause = 'person'"
    )
    runs = eventually(lambda: len(found := stack.sql(finished)) == len(stack.simulated) and found, within=60)
    assert [run["status"] for run in runs] == ["completed"] * len(stack.simulated)
    assert stack.sql("SELECT kind, item, change, fields, cause FROM drift") == []


def _asked_for_a_full_run(stack: Stack, name: str) -> bool:
    """``False`` while a scheduled run is active: a connection has one at a time."""
    if stack.sql("SELECT 1 FROM runs WHERE connection = :c AND status IN ('idle', 'running')", c=name):
        return False
    stack.cli("reconcile", name)
    return True


def _loaded(stack: Stack) -> bool:
    rows = stack.sql("SELECT count(*) AS n FROM watermarks")
    return bool(rows[0]["n"] >= 9)


def _pending(stack: Stack) -> int:
    return sum(int(one.status()["webhooks"]["pending"]) for one in stack.simulated.values())


def _lost(stack: Stack) -> dict[str, tuple[int, int, int]]:
    """Per connection: deliveries acknowledged, in the inbox, sent; where they are not in that order.

    One whose acknowledgement came too late for its sender is in the inbox all the same.
    """
    lost = {}
    for name, simulated in stack.simulated.items():
        webhooks = simulated.status()["webhooks"]
        sent = int(webhooks["published"]) - int(webhooks["dropped"])
        acknowledged = sent - int(webhooks["failed"])
        inbox = int(stack.sql("SELECT count(*) AS n FROM inbox_events WHERE connection = :c", c=name)[0]["n"])
        if not acknowledged <= inbox <= sent:
            lost[name] = (acknowledged, inbox, sent)
    return lost
