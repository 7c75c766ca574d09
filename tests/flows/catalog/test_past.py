"""History before the installation: read once from the source's own record, exact, and joined to what we recorded since."""

import random
import time
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from sqlalchemy import select

from app.domain import Strategy
from app.sources import square
from app.sources.square.counts import state_of
from app.sources.square.simulator import world as simulated
from app.sources.square.simulator.counts import UNTRACKED
from app.stores import history
from app.stores.history.rows import ROWS
from app.stores.sql.engine import Database
from tests.flows.catalog.shop_lives import Counts, Life, counts_there, installed, read_all
from tests.flows.shops import SHOP, shop

STEPS, QUESTIONS = 12, 1_000
KNOWN = 0.7
"""Of so many questions at least the answer is known: what a shelf held before its first stock take is not."""


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> Life:
    return Life(monkeypatch)


def ours(database: Database, listing: str, moment: datetime) -> tuple[bool, Counts]:
    """Whether a listing's stock of a moment is known, and what it was."""
    with database.read() as conn:
        since = history.known_since(conn, SHOP, listing)
        then = history.stock_as_of(conn, SHOP, listing, moment)
    counts = {(listing, one.location_id, one.state): one.quantity for one in then if one.quantity}
    return since is not None and since <= moment, counts


def of(listing: str, there: Counts) -> Counts:
    return {key: quantity for key, quantity in there.items() if key[0] == listing}


@pytest.mark.parametrize("version", ["2026-09-16", "2025-08-20"])
def test_stock_before_the_installation_is_what_the_vendor_had(
    version: str, life: Life, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(square, "SQUARE_VERSION", version)
    dice = random.Random(7)
    with shop("square", database, offline="0") as place:
        log = life.live(place)
        installed(life, place)
        listings = sorted({key[0] for _, counts in log for key in counts})
        wrong, known, asked_for = [], 0, 0
        while known < QUESTIONS:
            moment, there = dice.choice(log)
            listing = dice.choice(listings)
            is_known, counts = ours(database, listing, moment)
            known, asked_for = known + is_known, asked_for + 1
            if is_known and counts != of(listing, there):
                wrong.append((listing, moment))
    assert (wrong, len({tuple(sorted(counts.items())) for _, counts in log})) == ([], STEPS)
    assert known > asked_for * KNOWN


def test_goods_that_the_till_told_of_late_count_from_when_they_were_sold(life: Life, database: Database) -> None:
    dice, known = random.Random(8), 0
    with shop("square", database, offline="0.5") as place:
        life.live(place)
        installed(life, place)
        (world,) = life.worlds
        wrong = []
        for _ in range(QUESTIONS):
            moment = life.moment() - timedelta(seconds=dice.uniform(60, 19 * 86_400))
            number = dice.randrange(world.counts.base_wares)
            listing = world.catalog.variation_id(number)
            is_known, counts = ours(database, listing, moment)
            known += is_known
            if is_known and counts != occurred(world, number, moment):
                wrong.append((listing, moment))
    assert (wrong, known > QUESTIONS * (KNOWN - 0.1)) == ([], True)


def occurred(world: simulated.World, number: int, moment: datetime) -> Counts:
    """A ware's counts from the simulator's own log, by when the changes occurred."""
    until = moment.timestamp() * 1_000_000
    moves = [*world.counts.opening(number), *(one for one in world.counts.moves if one.ware == number)]
    counts: Counter[tuple[str, str, str]] = Counter()
    for one in sorted(moves, key=lambda move: (move.occurred, move.stamp)):
        if one.occurred > until:
            break
        for spot, by in ((one.origin, -one.quantity), (one.target, one.quantity)):
            if spot is None or spot[1] in UNTRACKED:
                continue
            key = (world.catalog.variation_id(number), world.location_ids[spot[0]], state_of(spot[1]))
            counts[key] = by if one.origin is None else counts[key] + by  # type: ignore[assignment]
    return {key: Decimal(quantity) for key, quantity in counts.items() if quantity}


def test_changes_after_the_first_load_are_in_history_once(life: Life, database: Database) -> None:
    with shop("square", database, offline="0") as place:
        life.live(place)
        life.arrive()
        place.run(Strategy.FULL)
        time.sleep(0.01)
        for _ in range(3):
            life.arrive()
            place.change(40)
            place.run(Strategy.INVENTORY)
        read_all(place)
        chains = [chain(database, key) for key in counts_there(place)]
    breaks = [one for one in chains if any(a[1] != b[0] for a, b in pairwise(one))]
    both = [one for one in chains if {"past", "updated"} <= {row[2] for row in one}]
    assert (breaks, len(both) > 20) == ([], True)


def chain(database: Database, key: tuple[str, str, str]) -> list[tuple[Decimal | None, Decimal | None, str]]:
    """What was before and after each change of a count, oldest first."""
    wanted = (ROWS.c.external_id == key[0], ROWS.c.location_id == key[1], ROWS.c.state == key[2])
    query = select(ROWS.c.quantity_before, ROWS.c.quantity_after, ROWS.c.op).where(*wanted)
    with database.read() as conn:
        return [tuple(row) for row in conn.execute(query.order_by(ROWS.c.changed_at, ROWS.c.id))]
