"""The experiment on truth: reasons, moments and agreement are told rightly, by seeds that nothing was tuned with."""

import pytest

from app.prove.truth.__main__ import table
from app.prove.truth.experiment import experiment
from app.stores.sql.engine import Database


@pytest.mark.parametrize("seed", range(9000, 9006))
def test_what_a_night_says_is_what_happened(database: Database, seed: int) -> None:
    outcome = experiment(seed, database)
    words = "\n".join(table([outcome]))
    wrong = [one for one in outcome.verdicts if not one.right]
    assert len(outcome.verdicts) > 5
    assert len(wrong) <= 1, words
    assert all(one.right for one in outcome.agreements), words
    assert outcome.invented == []
