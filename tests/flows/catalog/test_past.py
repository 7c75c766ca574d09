"""History before the installation: read once from the source's own record, exact, and joined to what we recorded since."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select

from app.domain import Kind, PastPage, StockCount, Strategy
from app.errors import BadAnswer, BudgetSpent
from app.flows.catalog import past
from app.flows.catalog.item_history import item_history
from app.flows.catalog.item_history import stock_as_of as asked
from app.flows.catalog.items import ItemId
from app.flows.reports.status import overview
from app.sources import square
from app.sources.square.counts import state_of
from app.sources.square.simulator import world as simulated
from app.sources.square.simulator.clock import Clock
from app.sources.square.simulator.counts import UNTRACKED
from app.stores import history
from app.stores.history.rows import ROWS
from app.stores.sql.engine import Database
from tests.flows.shops import SHOP, Shop, shop

DAYS = 5_000
"""More than since the simulated shop opened."""

STEPS, QUESTIONS = 12, 1_000
KNOWN = 0.7
"""Of so many questions at least the answer is known: what a shelf held before its first stock take is not."""

Counts = Mapping[tuple[str, str, str], Decimal]


class Life:
    """A shop's life before we knew it: the simulator's clock stands where the test puts it."""

    def __init__(self) -> None:
        self.began = time.time() - 20 * 86_400
        self.ahead = 0.0
        self.worlds: list[simulated.World] = []

    def clock(self) -> Clock:
        return Clock(self.now)

    def now(self) -> float:
        return self.began + self.ahead

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)

    def live(self, place: Shop, steps: int = STEPS, changes: int = 60) -> list[tuple[datetime, Counts]]:
        """Days with changes, and what the vendor had after each of them."""
        log = []
        for _ in range(steps):
            self.ahead += 86_400
            place.change(changes)
            self.ahead += 60
            log.append((self.moment(), counts_there(place)))
        return log

    def arrive(self) -> None:
        """Today."""
        self.ahead = time.time() - self.began


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> Life:
    life = Life()
    monkeypatch.setattr(simulated, "Clock", life.clock)
    opened = simulated.World.__init__

    def noted(world: simulated.World, options: Any) -> None:
        opened(world, options)
        life.worlds.append(world)

    monkeypatch.setattr(simulated.World, "__init__", noted)
    return life


def counts_there(place: Shop) -> Counts:
    records = [record for page in place.source.full(Kind.STOCK) for record in page.records]
    counts = [record for record in records if isinstance(record, StockCount) and record.quantity]
    return {(count.listing_id, count.location_id, count.state): count.quantity for count in counts}


def installed(life: Life, place: Shop) -> None:
    """Read the shop for the first time, and its past."""
    life.arrive()
    place.run(Strategy.FULL)
    read_all(place)


def read_all(place: Shop) -> None:
    assert past.take_turn(place.deps) == SHOP
    past.read_past(place.deps, SHOP, DAYS)


def rows(place: Shop) -> list[tuple[Any, ...]]:
    """The rows of the past, without what differs between two readings."""
    columns = (ROWS.c.external_id, ROWS.c.location_id, ROWS.c.state, ROWS.c.changed_at)
    values = (ROWS.c.quantity_before, ROWS.c.quantity_after)
    query = select(*columns, *values).where(ROWS.c.op == history.PAST, ROWS.c.external_id != "")
    with place.deps.database.read() as conn:
        return sorted(map(tuple, conn.execute(query)), key=str)


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


class Broken(BaseException):
    """The process is killed."""


def breaking(place: Shop, monkeypatch: pytest.MonkeyPatch, error: BaseException, after: int) -> None:
    """Have the ledger fail once, after so many reads."""
    real: Callable[..., Iterator[PastPage]] = place.source.past_changes  # type: ignore[attr-defined]
    reads = iter(range(after))

    def failing(ids: Any, since: datetime) -> Iterator[PastPage]:
        if next(reads, None) is None:
            monkeypatch.setattr(place.source, "past_changes", real)
            raise error
        return real(ids, since)

    monkeypatch.setattr(place.source, "past_changes", failing)


def test_killed_in_the_middle_it_goes_on_to_the_same_rows(
    life: Life, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "LISTINGS", 7)
    monkeypatch.setattr(past, "CLAIM", timedelta())
    with shop("square", database, offline="0") as place:
        life.live(place, steps=3)
        life.arrive()
        place.run(Strategy.FULL)
        breaking(place, monkeypatch, Broken(), after=4)
        with pytest.raises(Broken):
            read_all(place)
        half = rows(place)
        read_all(place)
        found = rows(place)
        with database.begin() as conn:
            conn.execute(ROWS.delete().where(ROWS.c.op == history.PAST))
        read_all(place)
        assert (0 < len(half) < len(found), found == rows(place)) == (True, True)


def test_a_second_start_reads_nothing(life: Life, database: Database) -> None:
    with shop("square", database) as place:
        installed(life, place)
        asked_before = place.requests("/v2/inventory/changes/batch-retrieve")
        assert past.take_turn(place.deps) is None
        past.read_past(place.deps, SHOP, DAYS)
        assert asked_before == place.requests("/v2/inventory/changes/batch-retrieve") > 0


def test_nothing_is_read_before_the_first_load(life: Life, database: Database) -> None:
    with shop("square", database) as place:
        assert past.take_turn(place.deps) is None


def test_a_source_without_a_record_has_no_past(database: Database) -> None:
    with shop("finale", database) as place:
        place.run(Strategy.FULL)
        found = past.take_turn(place.deps), overview(place.deps)["connections"][SHOP]["past"]
    assert found == (None, None)


def test_only_one_process_reads_at_a_time(life: Life, database: Database) -> None:
    with shop("square", database) as place:
        place.run(Strategy.FULL)
        assert (past.take_turn(place.deps), past.take_turn(place.deps)) == (SHOP, None)


def state(place: Shop) -> Any:
    return overview(place.deps)["connections"][SHOP]["past"]


def test_a_failure_is_shown_and_tried_again_later(
    life: Life, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop("square", database) as place:
        place.run(Strategy.FULL)
        breaking(place, monkeypatch, BadAnswer("the cursor has expired"), after=0)
        read_all(place)
        failed, at_once = state(place), past.take_turn(place.deps)
        monkeypatch.setattr(past, "LATER", timedelta())
        past.read_past(place.deps, SHOP, DAYS)
        done = state(place)
    assert (failed, at_once) == ({"state": "failing", "error": "the cursor has expired"}, None)
    assert done == {"state": "read", "error": None}


def test_scarce_calls_are_no_failure(life: Life, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with shop("square", database) as place:
        place.run(Strategy.FULL)
        breaking(place, monkeypatch, BudgetSpent("no call is left"), after=0)
        read_all(place)
        assert (state(place), rows(place)) == ({"state": "reading", "error": None}, [])


def test_an_items_history_goes_on_into_the_past(life: Life, database: Database) -> None:
    with shop("square", database, offline="0") as place:
        life.live(place)
        installed(life, place)
        listing = rows(place)[0][0]
        page = item_history(place.deps, ItemId(SHOP, listing))
        oldest = page.rows[-1]
        then = asked(place.deps, ItemId(SHOP, listing), oldest.changed_at)
    assert (oldest.op, oldest.written_by, page.known_since) == ("past", "ledger", oldest.changed_at)
    assert (then.known_since, then.on_hand is not None) == (oldest.changed_at, True)


def test_the_feed_has_nothing_of_the_past(life: Life, database: Database) -> None:
    with shop("square", database) as place:
        place.run(Strategy.FULL)
        with database.read() as conn:
            cursor = history.end(conn)
        read_all(place)
        with database.read() as conn:
            found, _ = history.after(conn, cursor, [SHOP], 1_000)
        assert (found, len(rows(place)) > 50) == ([], True)
