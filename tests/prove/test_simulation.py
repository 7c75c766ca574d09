"""The simulation: it repeats itself, it finds nothing under the faults it was made for, and it tells what it finds."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from app.prove.campaign import Tally, campaign, smaller
from app.prove.faults import Dial, drawn
from app.prove.hand import Hand
from app.prove.simulate import Outcome
from tests.prove.mutants import BENIGN, LIFE, TAMPER


@pytest.fixture
def hand() -> Iterator[Hand]:
    with closing(Hand()) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def hand_on(request: pytest.FixtureRequest) -> Iterator[Hand]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    with closing(Hand(url)) as opened:
        yield opened


@pytest.mark.parametrize("seed", [17])
def test_a_seed_repeats_exactly(hand: Hand, seed: int) -> None:
    first = hand.carry_out(seed, set(Dial))
    assert hand.carry_out(seed, set(Dial)) == first


@pytest.mark.parametrize("seed", [1])
def test_nothing_is_found_where_nothing_goes_wrong(hand_on: Hand, seed: int) -> None:
    assert hand_on.carry_out(seed, ()).findings == []


@pytest.mark.parametrize("seed", range(100, 102))
def test_nothing_is_found_under_loss_repetition_and_sudden_death(hand_on: Hand, seed: int) -> None:
    outcome = hand_on.carry_out(seed, LIFE)
    assert outcome.findings == []
    assert outcome.counts["rows compared"] > 20


@pytest.mark.prove
def test_a_finding_comes_with_its_seed_its_faults_and_the_last_events() -> None:
    code = "import app.flows.items.fetching as fetching\nimport app.stores.catalog.applying as applying\n"
    code += 'replace(applying, "closing", lambda *args: {})\n'
    with closing(Hand("", TAMPER + code)) as hand:
        outcomes = (hand.carry_out(seed, BENIGN) for seed in range(100))
        outcome = next(one for one in outcomes if one.findings)
        least = smaller(outcome, hand)
    assert least.findings
    assert least.trace
    assert len(least.on) <= len(outcome.on)


def test_a_campaign_counts_every_seed_once() -> None:
    told: list[Outcome] = []
    with closing(Hand()) as one, closing(Hand()) as other:
        tally = campaign(range(4), [one, other], (), told.append)
    assert (tally.runs, len(told)) == (4, 4)
    assert [outcome.seed for outcome in told] == [0, 1, 2, 3]


def test_what_the_simulation_dies_of_is_a_finding() -> None:
    code = 'import app.prove.simulate as simulate\nreplace(simulate, "Trouble", None)\n'
    with closing(Hand("", TAMPER + code)) as hand:
        assert "the simulation itself failed" in hand.carry_out(1, ()).findings[0]


def test_leaving_a_fault_out_does_not_change_the_strength_of_another() -> None:
    every, some = drawn(5, set(Dial)), drawn(5, set(Dial) - {Dial.KILLED})
    assert {dial: strength for dial, strength in every.on.items() if dial is not Dial.KILLED} == some.on


def test_a_seed_with_its_own_faults_named_is_the_same(hand: Hand) -> None:
    drawn_ones = hand.carry_out(8, set(Dial))
    named = hand.carry_out(8, {Dial(name) for name in drawn_ones.on}, all_on=True)
    assert named == drawn_ones


def test_every_fault_has_its_words() -> None:
    assert all(dial.meaning for dial in Dial)


def test_a_tally_of_nothing_has_no_failures() -> None:
    assert Tally().failing == []
