"""The past is read once, by one process at a time; it goes on after a crash and tries again after a failure."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.domain import PastPage, Strategy
from app.errors import BadAnswer, BudgetSpent
from app.flows.catalog import past
from app.flows.catalog.item_history import item_history
from app.flows.catalog.item_history import stock_as_of as asked
from app.flows.catalog.items import ItemId
from app.flows.catalog.past import PastState
from app.flows.reports.status import overview
from app.stores import history
from app.stores.history.rows import ROWS
from app.stores.sql.engine import Database
from tests.flows.catalog.shop_lives import DAYS, Life, installed, read_all, rows
from tests.flows.shops import SHOP, Shop, shop


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> Life:
    return Life(monkeypatch)


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
        found = past.take_turn(place.deps), overview(place.deps).connections[SHOP].past
    assert found == (None, None)


def test_only_one_process_reads_at_a_time(life: Life, database: Database) -> None:
    with shop("square", database) as place:
        place.run(Strategy.FULL)
        assert (past.take_turn(place.deps), past.take_turn(place.deps)) == (SHOP, None)


def test_a_process_that_was_overtaken_writes_nothing(
    life: Life, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop("square", database) as place:
        place.run(Strategy.FULL)
        real: Callable[..., Iterator[PastPage]] = place.source.past_changes  # type: ignore[attr-defined]

        def overtaken(ids: Any, since: datetime) -> Iterator[PastPage]:
            monkeypatch.setattr(place.source, "past_changes", real)
            past.read_past(place.deps, SHOP, DAYS)
            return real(ids, since)

        monkeypatch.setattr(place.source, "past_changes", overtaken)
        read_all(place)
        found = rows(place)
    assert (len(found), len(found) > 50) == (len(set(found)), True)


def state(place: Shop) -> Any:
    return overview(place.deps).connections[SHOP].past


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
    assert (failed, at_once) == (PastState("failing", "the cursor has expired"), None)
    assert done == PastState("read", None)


def test_scarce_calls_are_no_failure(life: Life, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with shop("square", database) as place:
        place.run(Strategy.FULL)
        breaking(place, monkeypatch, BudgetSpent("no call is left"), after=0)
        read_all(place)
        assert (state(place), rows(place)) == (PastState("reading", None), [])


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
