"""A few seeds of the guard's experiment: no disaster comes through, no ordinary life is held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from app.prove.guard.trial import Ground, drawn


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with closing(Ground()) as ground:
        yield ground


@pytest.mark.parametrize("seed", [101, 102])
def test_no_disaster_comes_through_and_no_life_is_held(ground: Ground, seed: int) -> None:
    outcomes = [ground.attempt(trial) for trial in drawn(seed, disasters=26, lives=21, sizes=(10, 50))]
    assert [(one.trial.case.name, one.wrong, one.held) for one in outcomes if not one.is_right] == []


def test_a_guard_that_judges_nothing_lets_disasters_through(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.rules.guard_products.first_of", lambda findings: [])
    monkeypatch.setattr("app.rules.guard_stock.first_of", lambda findings: [])
    outcomes = [ground.attempt(trial) for trial in drawn(103, disasters=8, lives=0, sizes=(10,))]
    assert not all(one.is_right for one in outcomes)
