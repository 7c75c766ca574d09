"""The proof, proven: each guard is taken away, and some seed among the first 300 finds it."""

import subprocess
import sys
from contextlib import closing

import pytest

from app.prove.campaign import Trial, simulations
from app.prove.crew import Crew
from app.prove.simulate import Outcome
from tests.prove.mutants import MUTANTS, TAMPER, Mutant

SEEDS = 300

TAKING_AWAY = """
import os, sys
from tests.prove.mutants import MUTANTS, TAMPER
import app.flows.runs.read_full, app.prove.simulate
for mutant in MUTANTS:
    pid = os.fork()
    if pid == 0:
        try:
            exec(TAMPER + mutant.code, {})
        except BaseException as error:
            print(f"{mutant.guard}: {error!r}", flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""


def test_every_guard_is_where_it_is_taken_away() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TAKING_AWAY], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == ""


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.guard)
def test_a_seed_among_the_first_300_misses_the_guard(mutant: Mutant) -> None:
    with closing(Crew(simulations, before=TAMPER + mutant.code)) as crew:
        in_order = [mutant.known, *(seed for seed in range(SEEDS) if seed != mutant.known)]
        assert any(_found(crew, seed, mutant) for seed in in_order)


def _found(crew: Crew[Trial, Outcome], seed: int, mutant: Mutant) -> bool:
    """Whether a seed finds it; a simulation that breaks is no finding, but an error of the mutant."""
    findings = crew.attempt(Trial(seed, mutant.dials, all_on=True, hasty=True)).findings
    broken = [words for words in findings if words.startswith("the simulation itself")]
    assert broken == []
    return bool(findings)


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.guard)
def test_with_the_guard_in_place_that_seed_finds_nothing(mutant: Mutant) -> None:
    with closing(Crew(simulations)) as crew:
        assert crew.attempt(Trial(mutant.known, mutant.dials, all_on=True)).findings == []
