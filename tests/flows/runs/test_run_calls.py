"""What a run costs its vendor in calls, measured at the simulated vendor itself."""

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from app import sources
from app.domain import Answer, Cause, Change, Kind, Options, Page, Ref, Strategy
from app.errors import Permanent
from app.flows.connections.probes import check_now
from app.flows.items.leases import LeaseKeeper
from app.flows.reports.metrics import CallFigures, metrics
from app.flows.reports.samples import samples
from app.flows.reports.status import overview
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.sources import exchanges
from app.sources.base import Checkable
from app.stores import owed
from app.stores.runs import calls, runs
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, count, listing
from tests.flows.shops import Shop, shop

LIST = "/api/inventoryitem/"


@pytest.fixture
def finale(database: Database) -> Iterator[Shop]:
    with shop("finale", database) as opened:
        opened.run(Strategy.FULL)
        yield opened


def empty_shelves(shop: Shop) -> None:
    with shop.deps.database.begin() as conn:
        conn.exec_driver_sql("UPDATE stock SET quantity = 0")


def in_one_category(shop: Shop) -> None:
    with shop.deps.database.begin() as conn:
        conn.exec_driver_sql("UPDATE listings SET category = 'Bowls'")


def test_a_category_reads_the_stock_list_once(finale: Shop) -> None:
    in_one_category(finale)
    before = finale.requests(LIST)
    finale.run(Strategy.CATEGORY, category="Bowls")
    assert finale.requests(LIST) - before == 1


def test_what_is_critical_reads_the_stock_list_once(finale: Shop) -> None:
    empty_shelves(finale)
    before = finale.requests(LIST)
    finale.run(Strategy.CRITICAL)
    assert finale.requests(LIST) - before == 1


def test_a_run_shows_as_many_calls_as_the_vendor_saw(finale: Shop) -> None:
    empty_shelves(finale)
    before = finale.requests("")
    ended = finale.run(Strategy.CRITICAL)
    assert ended.calls == finale.requests("") - before


def test_stock_rows_of_a_category_are_counted_once(finale: Shop) -> None:
    in_one_category(finale)
    counts = finale.run(Strategy.CATEGORY, category="Bowls").counts["stock"]
    rows = finale.control.get("/_sim/truth/stock").json()
    assert sum(number or 0 for number in (counts.unchanged, counts.updated, counts.created)) <= len(rows)


def test_the_stock_of_one_product_says_nothing_of_the_stock_of_others(finale: Shop) -> None:
    listed = finale.control.get("/_sim/truth/stock").json()
    wanted = listed[0]["listing_id"]
    answer = finale.source.fetch([Ref(Kind.STOCK, wanted)])
    assert {record.listing_id for record in answer.records} == {wanted}  # type: ignore[union-attr]


# --- options on real accounts ---


@pytest.mark.parametrize("vendor", sources.names())
def test_orders_modified_since_long_ago_are_all_orders(vendor: str, database: Database) -> None:
    with shop(vendor, database) as opened:
        opened.run(Strategy.ORDERS, modified_since=datetime(2000, 1, 1, tzinfo=UTC))
        opened.settle()
        held = {item for kind, item in opened.rows() if kind is Kind.ORDER}
        truth = {row["external_id"] for row in opened.control.get("/_sim/truth/order").json()}
    assert held == truth != set()


# --- every call is counted, whoever makes it ---


@pytest.fixture(params=sources.names())
def counted(request: pytest.FixtureRequest, database: Database) -> Iterator[Shop]:
    with shop(request.param, database) as opened:
        yield opened


def by_purpose(shop: Shop) -> dict[str, int]:
    with shop.deps.database.read() as conn:
        return calls.since(conn, SHOP, shop.deps.now() - timedelta(hours=1))


def test_every_call_that_the_vendor_saw_is_counted(counted: Shop) -> None:
    counted.run(Strategy.FULL)
    counted.change(20)
    counted.run(Strategy.INCREMENTAL)
    counted.settle()
    check_now(counted.deps, SHOP)
    assert sum(by_purpose(counted).values()) == counted.requests("")


def test_a_probe_is_counted_as_one(counted: Shop) -> None:
    check_now(counted.deps, SHOP)
    assert by_purpose(counted) == {"probe": 1}


def test_an_item_that_a_webhook_named_is_counted_as_live_work(counted: Shop) -> None:
    counted.run(Strategy.FULL)
    counted.settle()
    with counted.deps.database.begin() as conn:
        item = conn.exec_driver_sql("SELECT min(coalesce(parent_id, external_id)) FROM listings").scalar()
        counted.deps.queue.enqueue(
            owed.owe(conn, SHOP, [Change(Kind.PRODUCT, str(item))], Cause.WEBHOOK, counted.deps.now())
        )
    before = counted.requests("")
    counted.settle()
    assert by_purpose(counted)["webhook"] == counted.requests("") - before > 0


class Killed(BaseException):
    """The process is gone: no handler of ours may see it."""


def test_the_page_that_a_run_was_killed_in_is_counted(counted: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was asked for, and its answer never reached us."""
    run_id = request_run(counted.deps, SHOP, Strategy.CATALOG, Options(), cause="person")
    keeper = LeaseKeeper(counted.deps.database)
    with monkeypatch.context() as patch:
        patch.setattr(exchanges, "note_response", killed)
        with pytest.raises(Killed):
            run(counted.deps, keeper, run_id)
    with counted.deps.database.begin() as conn:
        conn.exec_driver_sql("UPDATE runs SET lease_until = created_at")
    run(counted.deps, keeper, run_id)
    with counted.deps.database.read() as conn:
        ended = runs.get(conn, run_id)
    assert ended is not None
    assert ended.calls == counted.requests("") > 1


def killed(_: object) -> None:
    raise Killed


def test_calls_that_others_make_meanwhile_are_no_calls_of_a_run(
    counted: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that reads a run may pull for a poll at the same time, through the same source."""
    assert isinstance(counted.source, Checkable)
    check, full = counted.source.check, counted.source.full

    def full_while_others_ask(kind: Kind, resume: str | None = None) -> Iterator[Page]:
        other = threading.Thread(target=check)
        other.start()
        other.join()
        return full(kind, resume)

    counted.run(Strategy.CATALOG)
    monkeypatch.setattr(counted.source, "full", full_while_others_ask)
    before = by_purpose(counted)["run"]
    assert counted.run(Strategy.CATALOG).calls == by_purpose(counted)["run"] - before > 0


def test_calls_of_a_connection_are_shown_in_its_status_by_purpose(counted: Shop) -> None:
    check_now(counted.deps, SHOP)
    assert overview(counted.deps).connections[SHOP].calls_of_24_hours == {"probe": 1}


def test_calls_of_the_last_days_are_shown_in_the_figures_by_purpose(counted: Shop) -> None:
    check_now(counted.deps, SHOP)
    assert metrics(counted.deps, SHOP).api_calls == CallFigures(0, 1, {"probe": 1})


def test_calls_are_told_to_a_monitoring_system_by_purpose(counted: Shop) -> None:
    check_now(counted.deps, SHOP)
    result = [sample for sample in samples(counted.deps) if sample.family == "tallyhook_api_calls_total"]
    assert [(one.labels["purpose"], one.value) for one in result] == [("probe", 1)]


# --- a list that the vendor refuses is not refused for one item's sake ---


class ListingSource(FakeSource):
    """A vendor whose stock can only be read as one list."""

    def __init__(self) -> None:
        super().__init__()
        self.listed_kinds = (Kind.STOCK,)
        self.refuse_lists = False

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        answer = super().fetch(refs)
        if self.refuse_lists and refs[0].kind is Kind.STOCK:
            raise Permanent("the list was refused")
        return answer


@pytest.fixture
def world(database: Database) -> World:
    world = World(database, ListingSource())
    world.source.put(*(listing(f"P{number:03}", category="Bowls") for number in range(30)))
    world.source.put(*(count(f"P{number:03}", 5) for number in range(30)))
    run_strategy(world, Strategy.FULL)
    world.source.requests.clear()
    return world


def run_strategy(world: World, strategy: Strategy, **options: str) -> int:
    run_id = request_run(world.deps, SHOP, strategy, Options(**options), cause="person")  # type: ignore[arg-type]
    run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    return run_id


def stock_reads(world: World) -> int:
    return sum(
        1 for request in world.source.requests if set(request) <= set(world.source.counts) and len(request) > 1
    )


def test_all_items_of_a_listed_kind_are_asked_for_together(world: World) -> None:
    run_strategy(world, Strategy.CATEGORY, category="Bowls")
    assert stock_reads(world) == 1


def test_a_list_that_is_refused_is_not_read_once_for_each_item(world: World) -> None:
    world.source.refuse_lists = True  # type: ignore[attr-defined]
    with pytest.raises(Permanent):
        run_strategy(world, Strategy.CATEGORY, category="Bowls")
    assert stock_reads(world) == 1
