"""The simulation: it repeats itself, it finds nothing under the faults it was made for, and it tells what it finds."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from app.prove.campaign import Tally, Trial, simulations, smaller
from app.prove.crew import Crew
from app.prove.faults import Dial, drawn
from app.prove.simulate import Outcome
from tests.prove.mutants import BENIGN, LIFE, TAMPER

Simulations = Crew[Trial, Outcome]


@pytest.fixture
def crew() -> Iterator[Simulations]:
    with closing(Crew(simulations)) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def crew_on(request: pytest.FixtureRequest) -> Iterator[Simulations]:
    url = request.getfixturevalue("pg_server") if request.param == "postgresql" else ""
    with closing(Crew(simulations, url=url)) as opened:
        yield opened


@pytest.mark.parametrize("seed", [17])
def test_a_seed_repeats_exactly(crew: Simulations, seed: int) -> None:
    first = crew.attempt(Trial(seed, set(Dial)))
    assert crew.attempt(Trial(seed, set(Dial))) == first


@pytest.mark.parametrize("seed", [1])
def test_nothing_is_found_where_nothing_goes_wrong(crew_on: Simulations, seed: int) -> None:
    assert crew_on.attempt(Trial(seed, ())).findings == []


@pytest.mark.parametrize("seed", range(100, 102))
def test_nothing_is_found_under_loss_repetition_and_sudden_death(crew_on: Simulations, seed: int) -> None:
    outcome = crew_on.attempt(Trial(seed, LIFE))
    assert outcome.findings == []
    assert outcome.counts["rows compared"] > 20


@pytest.mark.prove
def test_a_finding_comes_with_its_seed_its_faults_and_the_last_events() -> None:
    code = "import app.flows.items.fetching as fetching\nimport app.stores.catalog.applying as applying\n"
    code += 'replace(applying, "closing", lambda *args: {})\n'
    with closing(Crew(simulations, before=TAMPER + code)) as crew:
        outcomes = (crew.attempt(Trial(seed, BENIGN)) for seed in range(100))
        outcome = next(one for one in outcomes if one.findings)
        least = smaller(outcome, crew)
    assert least.findings
    assert least.trace
    assert len(least.on) <= len(outcome.on)


def test_a_campaign_counts_every_seed_once() -> None:
    tally = Tally()
    with closing(Crew(simulations, hands=2)) as crew:
        outcomes = list(crew.outcomes(Trial(seed, ()) for seed in range(4)))
    for outcome in outcomes:
        tally.add(outcome)
    assert (tally.runs, len(outcomes)) == (4, 4)
    assert [outcome.seed for outcome in outcomes] == [0, 1, 2, 3]


def test_what_the_simulation_dies_of_is_a_finding() -> None:
    code = 'import app.prove.simulate as simulate\nreplace(simulate, "Trouble", None)\n'
    with closing(Crew(simulations, before=TAMPER + code)) as crew:
        assert "the simulation itself failed" in crew.attempt(Trial(1, ())).findings[0]


def test_leaving_a_fault_out_does_not_change_the_strength_of_another() -> None:
    every, some = drawn(5, set(Dial)), drawn(5, set(Dial) - {Dial.KILLED})
    assert {dial: strength for dial, strength in every.on.items() if dial is not Dial.KILLED} == some.on


def test_a_seed_with_its_own_faults_named_is_the_same(crew: Simulations) -> None:
    drawn_ones = crew.attempt(Trial(8, set(Dial)))
    named = crew.attempt(Trial(8, {Dial(name) for name in drawn_ones.on}, all_on=True))
    assert named == drawn_ones


def test_every_fault_has_its_words() -> None:
    assert all(dial.meaning for dial in Dial)


def test_a_tally_of_nothing_has_no_failures() -> None:
    assert Tally().failing == []
