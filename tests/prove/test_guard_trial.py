"""A few seeds of the guard's experiment: no disaster comes through, no ordinary life is held."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from app.prove.databases import databases_at
from app.prove.guard.ground import Ground
from app.prove.guard.trial import drawn


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    url = request.getfixturevalue("pg_server") if request.param == "postgresql" else ""
    with closing(databases_at(url)) as databases:
        yield Ground(databases)


def test_no_disaster_comes_through_and_no_life_is_held(ground: Ground) -> None:
    outcomes = [ground.attempt(trial) for trial in drawn(101, disasters=12, lives=8, sizes=(10, 50))]
    assert [(one.trial.case, one.wrong, one.held) for one in outcomes if not one.is_right] == []


def test_a_guard_that_judges_nothing_lets_disasters_through(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.rules.guard.products.first_of", lambda findings: [])
    monkeypatch.setattr("app.rules.guard.stock.first_of", lambda findings: [])
    outcomes = [ground.attempt(trial) for trial in drawn(103, disasters=8, lives=0, sizes=(10,))]
    assert not all(one.is_right for one in outcomes)


def test_a_trial_is_the_same_again_whatever_was_tried_before(ground: Ground) -> None:
    first, *others = drawn(104, disasters=3, lives=3, sizes=(10,))
    alone = ground.attempt(first)
    for other in others:
        ground.attempt(other)
    assert ground.attempt(first) == alone
