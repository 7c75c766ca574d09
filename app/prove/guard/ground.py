"""The databases of trials: a shop is read into a database once, and each trial gets a copy of both."""

import random
from contextlib import closing
from typing import NamedTuple

from app.prove.crew import Attempt
from app.prove.databases import EMPTY, Databases
from app.prove.guard.shop import Shop
from app.prove.guard.trial import Life, Outcome, Trial, opened
from app.stores.sql.engine import open_database


class _Opened(NamedTuple):
    """A shop after its first night, and the name of its database."""

    shop: Shop
    database: str


def trials(databases: Databases) -> Attempt[Trial, Outcome]:
    """What a process of a crew does with a trial."""
    return Ground(databases).attempt


class Ground:
    """Carries out one trial at a time."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._shops: dict[tuple[int, int], _Opened] = {}

    def attempt(self, trial: Trial) -> Outcome:
        """Carry out one trial."""
        before = self._opened(trial.ground, trial.size)
        rng = random.Random(f"trial {trial.seed}")
        with (
            closing(open_database(self._databases.copy(before.database, "trial"))) as database,
            closing(Life(database, before.shop.again(rng))) as life,
        ):
            return life.tried(trial)

    def _opened(self, seed: int, size: int) -> _Opened:
        if (seed, size) not in self._shops:
            shop, name = opened(seed, size), f"shop{len(self._shops)}"
            with closing(open_database(self._databases.copy(EMPTY, name))) as database:
                with closing(Life(database, shop)) as life:
                    life.read()
                database.checkpoint()
            self._shops[seed, size] = _Opened(shop, name)
        return self._shops[seed, size]
