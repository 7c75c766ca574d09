"""One trial: a case happens to a shop for some nights, and the harm and the holds are measured."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from app.domain import Kind
from app.prove.compare import measured
from app.prove.guard.disasters import DISASTERS
from app.prove.guard.lives import LIVES
from app.prove.guard.shop import Shop
from app.prove.memory import SHOP, Copy
from app.stores.sql.engine import Database
from app.stores.tables import Hold, core

SIZES = (10, 50, 500, 5_000)
MANY_DISASTERS, MANY_LIVES = 240, 312

CASES = {case.name: case for case in DISASTERS + LIVES}

SHOPS, LARGE_SHOPS, LARGE = 20, 5, 500
"""The number of shops of each size, whose copies the trials use; those of 500 products and more take long to open."""

HARMED = 0.01
"""A disaster got through when it leaves more than this share of a kind's rows wrong."""

_holds = core(Hold)

OPENED = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Trial:
    """A case (a disaster or an ordinary event) in a shop of some ``size``, with a poll before each nightly run or
    without. ``ground`` is the seed of the shop before the case."""

    seed: int
    ground: int
    case: str
    is_disaster: bool
    size: int
    poll_first: bool


@dataclass(frozen=True)
class Outcome:
    """The share of rows that are ``wrong``, and the reasons of all holds, including those that were released."""

    trial: Trial
    wrong: float
    held: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """A disaster did no harm, or an ordinary event was not held."""
        return self.wrong <= HARMED if self.trial.is_disaster else not self.held


def drawn(
    seed: int, *, disasters: int = MANY_DISASTERS, lives: int = MANY_LIVES, sizes: Sequence[int] = SIZES
) -> list[Trial]:
    """Trials of every case in every size as evenly as possible, each with and without a poll; small shops come first."""
    trials: list[Trial] = []
    for cases, many, is_disaster in ((DISASTERS, disasters, True), (LIVES, lives, False)):
        order = random.Random(seed).sample(range(len(cases) * len(sizes)), len(cases) * len(sizes))
        for number in range(many):
            place = order[number % len(order)]
            case, size = cases[place % len(cases)], sizes[place // len(cases)]
            ground = seed * 1_000 + number % (SHOPS if size < LARGE else LARGE_SHOPS)
            of = (seed * 1_000 + number, ground, case.name, is_disaster, size)
            trials += [Trial(*of, poll_first=poll_first) for poll_first in (False, True)]
    return sorted(trials, key=lambda trial: trial.size)


def opened(seed: int, size: int) -> Shop:
    """A new shop at its vendor. In two of five seeds the vendor's stock has a delta; one of five vendors lists
    nothing that is sold out."""
    rng = random.Random(f"shop {seed}")
    return Shop(rng, size, OPENED, stock_is_whole=seed % 5 < 3, shows_zeros=seed % 5 > 0)


class Life(Copy):
    """A shop and its copy in a database, for some nights."""

    def __init__(self, database: Database, shop: Shop) -> None:
        self._shop = shop
        super().__init__(database, shop, lambda: shop.now)

    def tried(self, trial: Trial) -> Outcome:
        """Let the case happen, and measure."""
        case = CASES[trial.case]
        for night in range(case.nights):
            self._shop.now += timedelta(hours=20)
            case.happen(self._shop, night)
            self._shop.now += timedelta(hours=1)
            if trial.poll_first:
                self.poll()
            self._shop.now += timedelta(hours=3)
            self.read()
        with self.database.read() as conn:
            held = [f"{kind}: {reason}" for kind, reason in conn.execute(select(_holds.c.kind, _holds.c.reason))]
        return Outcome(trial, self._wrong(), held)

    def _wrong(self) -> float:
        """The largest share of wrong rows of any kind."""
        return max(self._wrong_of(kind) for kind in (Kind.PRODUCT, Kind.STOCK))

    def _wrong_of(self, kind: Kind) -> float:
        """The wrong rows of a kind, as a share of the true ones; a count of zero counts as none."""
        truth = self._shop.truth[kind].values()
        with self.database.read() as conn:
            wrong = measured(conn, SHOP, kind, truth).differing
        return len(wrong) / max(1, sum(bool(getattr(one, "quantity", 1)) for one in truth))
