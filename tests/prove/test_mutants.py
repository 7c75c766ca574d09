"""The proof, proven: each guard is taken away, and some seed among the first 300 finds it."""

from __future__ import annotations

from contextlib import closing

import pytest

from app.prove.hand import Hand
from tests.prove.mutants import MUTANTS, TAMPER, Mutant

SEEDS = 300


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.guard)
def test_a_seed_among_the_first_300_misses_the_guard(mutant: Mutant) -> None:
    with closing(Hand("", TAMPER + mutant.code)) as hand:
        in_order = [mutant.known, *(seed for seed in range(SEEDS) if seed != mutant.known)]
        assert any(hand.carry_out(seed, mutant.dials).findings for seed in in_order)


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.guard)
def test_with_the_guard_in_place_that_seed_finds_nothing(mutant: Mutant) -> None:
    with closing(Hand()) as hand:
        assert hand.carry_out(mutant.known, mutant.dials).findings == []
