"""``/metrics`` is text that Prometheus reads, with the figures of the database."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from app.domain import Cause, Change, Kind
from app.errors import VendorForbidden
from app.flows.connections import connections
from app.flows.connections.health import judge
from app.flows.upkeep.raise_alert import close_alert, raise_alert
from app.sources.base import Limit
from app.stores import owed, replays
from app.stores.guard import holds
from app.stores.runs.budgets import SharedBudget
from app.stores.sql.engine import Database
from app.stores.upkeep import heartbeats
from app.web.auth import NoAuthMiddleware
from app.web.heavy import HeavyReads
from app.web.prometheus import FAMILIES, exposition, metrics_routes
from tests.fakes import SHOP, World
from tests.stores.test_metrics import add_run, settle

STATES = ("ok", "refused", "unanswered", "paused")

SAMPLE = re.compile(r'([a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\[\\n"])*",?)*)\} ([0-9.e+-]+)')


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def told(world: World) -> dict[str, float]:
    """Value by ``name{labels}``; fails on a line that Prometheus could not read."""
    return dict(_parsed(exposition(world.deps)))


def _parsed(text: str) -> Iterator[tuple[str, float]]:
    for line in text.splitlines():
        if not line.startswith("# "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            yield f"{match[1]}{{{match[2]}}}", float(match[3])


def busy(world: World) -> None:
    """One of everything."""
    add_run(
        world.database, 10, counts='{"product":{"agreement":0.5}}', progress='{"processed":100,"failed":1}', calls=4
    )
    settle(world.database, 60, 2.5)
    settle(world.database, 60, 30, changes=3)
    settle(world.database, 60, outcome="dead")
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.STOCK, "A")], Cause.POLL, world.clock())
    world.clock.pass_(12.5)


def test_an_empty_installation_tells_no_ratio(world: World) -> None:
    states = {f'tallyhook_connection_state{{connection="{SHOP}",state="{state}"}}' for state in STATES}
    always = {
        f'tallyhook_dead_letters{{connection="{SHOP}"}}',
        "tallyhook_active_replays{}",
        'tallyhook_processes{role="worker"}',
        'tallyhook_processes{role="clock"}',
    }
    assert told(world).keys() - states == always


def test_the_state_of_a_connection_is_one_among_all_states(world: World) -> None:
    connections.pause(world.deps, SHOP)
    found = told(world)
    states = {state: found[f'tallyhook_connection_state{{connection="{SHOP}",state="{state}"}}'] for state in STATES}
    assert states == {"ok": 0, "refused": 0, "unanswered": 0, "paused": 1}


def test_a_kind_that_may_not_be_read_is_named(world: World) -> None:
    judge(world.deps, SHOP, Kind.STOCK, VendorForbidden("403"))
    assert told(world)[f'tallyhook_forbidden_kinds{{connection="{SHOP}",kind="stock"}}'] == 1


def test_what_the_guard_holds_is_told_by_kind(world: World) -> None:
    with world.database.begin() as conn:
        holds.hold(
            conn,
            connection=SHOP,
            kind=Kind.PRODUCT,
            run_id=None,
            reason="all gone",
            summary={},
            now=world.clock(),
        )
    assert told(world)[f'tallyhook_open_holds{{connection="{SHOP}",kind="product"}}'] == 1


def test_open_alerts_are_told_by_severity_and_closed_ones_not_at_all(world: World) -> None:
    raise_alert(world.deps, "one", "Something", "of a shop", "warning", SHOP)
    raise_alert(world.deps, "two", "Something", "of all", "critical", None)
    found = told(world)
    assert found[f'tallyhook_open_alerts{{connection="{SHOP}",severity="warning"}}'] == 1
    assert found['tallyhook_open_alerts{severity="critical"}'] == 1
    close_alert(world.deps, "two")
    assert 'tallyhook_open_alerts{severity="critical"}' not in told(world)


def test_failed_tries_of_what_is_owed_are_told(world: World) -> None:
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.STOCK, "A"), Change(Kind.STOCK, "B")], Cause.POLL, world.clock())
        conn.exec_driver_sql("UPDATE owed_items SET attempts = 2")
    assert told(world)[f'tallyhook_failed_tries{{connection="{SHOP}"}}'] == 4


def test_a_replay_under_way_is_told(world: World) -> None:
    with world.database.begin() as conn:
        replays.open_(conn, of="letters", name="n", filter="", rate=1, canary=False, asked_by="x", now=world.clock())
    assert told(world)["tallyhook_active_replays{}"] == 1


def test_processes_that_gave_no_sign_for_half_a_minute_are_told_no_more(world: World) -> None:
    with world.database.begin() as conn:
        heartbeats.record(conn, "host:1", "worker", world.clock(), world.clock())
    assert told(world)['tallyhook_processes{role="worker"}'] == 1
    world.clock.pass_(31)
    assert told(world)['tallyhook_processes{role="worker"}'] == 0


def test_runs_are_told_by_strategy_and_status(world: World) -> None:
    busy(world)
    whose = f'connection="{SHOP}",strategy="full",status="completed"'
    found = told(world)
    assert [found[f"tallyhook_{name}_total{{{whose}}}"] for name in ("runs", "run_api_calls")] == [1, 4]


def test_recent_runs_are_told_by_strategy(world: World) -> None:
    busy(world)
    whose = f'connection="{SHOP}",strategy="full"'
    found = told(world)
    names = ("success_ratio", "items", "items_failed", "items_per_second")
    assert [found[f"tallyhook_recent_run_{name}{{{whose}}}"] for name in names] == [1, 100, 1, 10]
    assert found[f'tallyhook_recent_run_seconds{{{whose},quantile="0.95"}}'] == 10


def test_freshness_is_a_cumulative_histogram_of_what_became_visible(world: World) -> None:
    busy(world)
    whose = f'connection="{SHOP}",kind="product"'
    found = told(world)
    buckets = [found[f'tallyhook_visible_seconds_bucket{{{whose},le="{bound}"}}'] for bound in ("5", "60", "+Inf")]
    assert buckets == [1, 2, 2]
    assert found[f"tallyhook_visible_seconds_sum{{{whose}}}"] == 32.5
    assert found[f"tallyhook_visible_seconds_count{{{whose}}}"] == 2


def test_settled_items_are_told_by_outcome(world: World) -> None:
    busy(world)
    found = told(world)
    whose = f'connection="{SHOP}",kind="product"'
    assert found[f'tallyhook_items_settled_total{{{whose},outcome="applied"}}'] == 2
    assert found[f'tallyhook_changes_settled_total{{{whose},outcome="applied"}}'] == 4
    assert found[f'tallyhook_items_settled_total{{{whose},outcome="dead"}}'] == 1


def test_what_is_owed_is_told_with_its_age(world: World) -> None:
    busy(world)
    whose = f'{{connection="{SHOP}",kind="stock"}}'
    found = told(world)
    assert (found["tallyhook_owed_items" + whose], found["tallyhook_oldest_owed_seconds" + whose]) == (1, 12.5)


def test_a_budgets_use_is_told_by_lane(world: World) -> None:
    world.source.limits = [Limit("day", 100, 86_400.0)]
    SharedBudget(world.database, SHOP, lambda: world.clock().timestamp()).take(world.source.limits)
    whose = f'connection="{SHOP}",window="day"'
    assert told(world)[f"tallyhook_budget_calls{{{whose}}}"] == 100
    assert told(world)[f'tallyhook_budget_used_calls{{{whose},lane="webhook"}}'] == 1


def test_counters_never_fall(world: World) -> None:
    busy(world)
    before = {name: value for name, value in told(world).items() if "_total{" in name}
    world.clock.pass_(86_400 * 100)
    after = told(world)
    assert {name: after[name] for name in before} == before


def test_a_label_may_hold_any_text(world: World) -> None:
    add_run(world.database, strategy='a"b\\c\nd')
    assert any(r'strategy="a\"b\\c\nd"' in name for name in told(world))


def test_every_sample_follows_its_familys_help_and_type(world: World) -> None:
    busy(world)
    lines = exposition(world.deps).splitlines()
    family = ""
    for line in lines:
        if line.startswith("# HELP "):
            family = line.split()[2]
        kind = "histogram" if family == "tallyhook_visible_seconds" else "gauge"
        kind = "counter" if family.endswith("_total") else kind
        assert line.startswith((f"# HELP {family} ", f"# TYPE {family} {kind}", family))
    assert sum(line.startswith("# TYPE ") for line in lines) == len(
        {*re.findall("# TYPE ([a-z_]+)", "\n".join(lines))}
    )


def test_every_family_of_the_samples_is_declared(world: World) -> None:
    from app.flows.reports.samples import samples

    busy(world)
    assert {sample.family for sample in samples(world.deps)} <= FAMILIES.keys()


def test_the_page_says_its_format(world: World) -> None:
    busy(world)
    answer = asyncio.run(_page(world))
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text == exposition(world.deps)


async def _page(world: World) -> httpx.Response:
    transport = httpx.ASGITransport(NoAuthMiddleware(Starlette(routes=metrics_routes(world.deps, HeavyReads()))))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        return await client.get("/metrics")


DASHBOARD = Path(__file__).parents[2] / "docs" / "dashboard.json"
ASKED = re.compile(r"tallyhook_[a-z_]+")


def asked_for() -> set[str]:
    """The families that the dashboard's queries name; a histogram's parts stand for it."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    names = {
        name for panel in panels for target in panel.get("targets", ()) for name in ASKED.findall(target["expr"])
    }
    return {re.sub(r"(?<=tallyhook_visible_seconds)_(bucket|sum|count)$", "", name) for name in names}


def test_the_dashboard_asks_for_nothing_that_is_not_told() -> None:
    assert asked_for() <= FAMILIES.keys()


def test_the_dashboard_shows_every_family() -> None:
    assert FAMILIES.keys() <= asked_for()
