"""A simulated shop with a state file goes on where it stopped, whether it was stopped or killed."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import Response

from app.domain import Kind
from app.sources.simulating.settings import Value, read
from app.sources.square.simulator import create
from app.sources.square.simulator.account import keeper_of, opened
from app.sources.square.simulator.clock import Clock
from app.sources.square.simulator.settings import Options
from app.sources.square.simulator.shop_life import ShopLife
from app.sources.square.simulator.world import World
from tests.sources.simulated import Servers
from tests.sources.square.square_account import Account, Simulate, open_account
from tests.sources.square.square_copy import Copy, flat, ordered
from tests.sources.square.square_hook import Hook, acked

CHANGES = 150
Run = Callable[..., Any]  # a context manager: an account for as long as its process would live


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a shop on this test's state file; leaving the block is the stop of the process."""

    @contextmanager
    def running(**options: Value) -> Iterator[Account]:
        servers = Servers()
        account = open_account(servers, 5.0, {"state_file": str(tmp_path / "shop.state"), "products": 60, **options})
        try:
            yield account
        finally:
            account.source.close()
            account.control.close()
            servers.wait()

    return running


@pytest.mark.parametrize("kind", list(Kind))
def test_the_truth_is_the_same_after_a_restart(run: Run, kind: Kind) -> None:
    with run(locations=12) as before:
        before.change(CHANGES)
        result = before.truth(kind)
    with run(locations=12) as after:
        assert ordered(after.truth(kind)) == ordered(result)


@pytest.mark.parametrize("kind", [Kind.PRODUCT, Kind.STOCK, Kind.ORDER, Kind.CATEGORY])
def test_a_delta_over_a_restart_brings_nothing_new(run: Run, kind: Kind) -> None:
    with run() as before:
        before.change(CHANGES)
        copy = Copy(before.source)
        copy.read_delta(kind)
    with run() as after:
        again = Copy(after.source)
        again.watermarks = dict(copy.watermarks)
        again.read_delta(kind)
        # The watermark is read again with an overlap: what it shows must be what the copy has, to the version.
        assert again.rows[kind].items() <= copy.rows[kind].items()


@pytest.mark.parametrize("kind", list(Kind))
def test_a_delta_after_a_restart_and_more_changes_leads_to_the_truth(run: Run, kind: Kind) -> None:
    with run() as before:
        before.change(CHANGES)
        copy = Copy(before.source)
        copy.read_delta(kind)
    with run() as after:
        after.change(CHANGES)
        again = Copy(after.source)
        again.rows, again.watermarks = copy.rows, copy.watermarks
        again.read_delta(kind)
        truth = after.truth(kind)
        assert flat(again, kind, truth) == ordered(truth)


def test_a_search_since_the_latest_time_is_empty_after_a_restart(run: Run) -> None:
    headers = {"authorization": "Bearer simulated-token"}
    with run() as before:
        before.change(CHANGES)
        page = before.control.post("/v2/catalog/search", json={}, headers=headers).json()
    with run() as after:
        since = {"begin_time": page["latest_time"], "object_types": ["ITEM", "ITEM_VARIATION", "CATEGORY"]}
        answer = after.control.post("/v2/catalog/search", json=since, headers=headers).json()
        assert answer == {"latest_time": page["latest_time"]}


def test_a_change_survives_a_kill_soon_after_it(simulate: Simulate, tmp_path: Path) -> None:
    file, killed = tmp_path / "shop.state", tmp_path / "killed.state"
    account = simulate(state_file=str(file), products=60)
    opening = file.read_bytes()
    account.change(CHANGES)
    account.wait_for(lambda _: file.read_bytes() != opening, 1.0)
    killed.write_bytes(file.read_bytes())  # all that a process has that was killed now
    after = simulate(state_file=str(killed))
    assert [after.truth(kind) for kind in Kind] == [account.truth(kind) for kind in Kind]


def test_the_size_of_the_opening_stays(run: Run) -> None:
    with run(products=60):
        pass
    with run(products=20) as after:
        assert after.status()["items"] == 60


def test_random_numbers_continue_after_a_restart(tmp_path: Path) -> None:
    async def lived(options: dict[str, Value], turns: int) -> float:
        app = create(options)
        async with app.router.lifespan_context(app):
            fallen: list[float] = [app.state.account.world.dice.random() for _ in range(turns)]
            return fallen[-1]

    kept: dict[str, Value] = {"state_file": str(tmp_path / "shop.state")}
    asyncio.run(lived(kept, 3))
    assert asyncio.run(lived(kept, 1)) == asyncio.run(lived({}, 4))


def test_no_stamp_comes_again_when_the_wall_clock_was_set_back() -> None:
    before, after = Clock(lambda: 1_800_000_000.0), Clock(lambda: 1_700_000_000.0)
    stamps = [max([before.tick_us() for _ in range(9)]), max([before.tick_ms() for _ in range(9)]) * 1000]
    after.resume(before.latest_us())
    assert min(after.tick_us(), after.tick_ms() * 1000) > max(stamps)


async def saved_during_the_rest(path: Path, edits: int) -> bool:
    """Whether so many edits at once are saved although there was a save a moment ago."""
    world = World(read({"state_file": str(path), "catalog_burst": 0}, Options))
    keeper, life = keeper_of(world, shortest_rest=60.0), ShopLife(world)
    keeper.start()
    opening = path.read_bytes()
    world.on_change = keeper.changed
    life.happen(edits, ["price_edit"])
    for _ in range(3):
        await asyncio.sleep(0)
    saved = path.read_bytes() != opening
    keeper.save()
    return saved


def test_saving_rests_between_two_saves(tmp_path: Path) -> None:
    assert not asyncio.run(saved_during_the_rest(tmp_path / "shop.state", 1))


def test_stamps_that_ran_ahead_of_the_wall_clock_are_kept_at_once(tmp_path: Path) -> None:
    assert asyncio.run(saved_during_the_rest(tmp_path / "shop.state", 4_000))


def test_an_event_id_never_comes_again_after_a_kill(simulate: Simulate, tmp_path: Path) -> None:
    file, killed = tmp_path / "shop.state", tmp_path / "killed.state"
    account = simulate(state_file=str(file), events_enabled=True)
    killed.write_bytes(file.read_bytes())
    account.change(20)
    after = simulate(state_file=str(killed), events_enabled=True)
    after.change(20)
    assert not {event.id for event in after.world.outbox.events} & {event.id for event in account.world.outbox.events}


def test_the_events_of_before_can_be_searched_after_a_restart(run: Run) -> None:
    with run(events_enabled=True) as before:
        before.change(5)
        result = [event.id for event in before.world.outbox.events]
    with run() as after:
        assert [event.id for event in after.world.outbox.recorded(0, 1 << 62)] == result


def test_a_webhook_that_was_under_way_is_sent_after_the_restart(run: Run, servers: Servers) -> None:
    refusing, accepting = Hook(servers, lambda number: Response(status_code=503)), Hook(servers)
    with run(webhook_url=refusing.url) as before:
        before.change(1, "receipt")
        before.wait_for(lambda status: status["webhooks"]["failed"] == 1)
    with run(webhook_url=accepting.url) as after:
        after.wait_for(acked(1))
    assert accepting.came[0][1] == refusing.came[0][1]


def test_a_retry_after_the_restart_says_that_it_is_one(run: Run, servers: Servers) -> None:
    refusing, accepting = Hook(servers, lambda number: Response(status_code=503)), Hook(servers)
    with run(webhook_url=refusing.url) as before:
        before.change(1, "receipt")
        before.wait_for(lambda status: status["webhooks"]["failed"] == 1)
    with run(webhook_url=accepting.url) as after:
        after.wait_for(acked(1))
    assert accepting.came[0][0]["square-retry-number"] == "1"


def test_an_acknowledged_webhook_is_not_sent_again_after_a_kill(
    simulate: Simulate, servers: Servers, tmp_path: Path
) -> None:
    file, hook = tmp_path / "shop.state", Hook(servers)
    account = simulate(state_file=str(file), webhook_url=hook.url)
    account.change(20, "receipt")
    account.wait_for(acked(20))
    account.wait_for(lambda _: not opened(read({"state_file": str(file)}, Options)).outbox.pending, 1.0)


def test_a_cursor_of_before_is_refused_after_the_restart(run: Run) -> None:
    headers, body = {"authorization": "Bearer simulated-token"}, {"limit": 1}
    with run() as before:
        cursor = before.control.post("/v2/catalog/search", json=body, headers=headers).json()["cursor"]
    with run() as after:
        after.control.post("/v2/catalog/search", json=body, headers=headers)  # issues its first cursor too
        answer = after.control.post("/v2/catalog/search", json={**body, "cursor": cursor}, headers=headers)
        assert answer.json()["errors"][0]["code"] == "INVALID_CURSOR"


def kept_shop(path: Path) -> Starlette:
    async def live() -> Starlette:
        app = create({"state_file": str(path)})
        async with app.router.lifespan_context(app):
            return app

    return asyncio.run(live())


def test_a_file_of_another_seed_says_what_to_delete(tmp_path: Path) -> None:
    file = tmp_path / "shop.state"
    kept_shop(file)
    with pytest.raises(ValueError, match=f"has seed 1, not 2; delete {file} to begin with a new shop"):
        create({"state_file": str(file), "seed": 2})


@pytest.mark.parametrize("content", [b"", b"\x81", b"no shop at all", Random(1).randbytes(200)])
def test_a_file_that_is_no_shop_says_what_to_delete(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "shop.state"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"holds no shop .* delete {file}"):
        create({"state_file": str(file)})


def test_half_a_file_says_what_to_delete(tmp_path: Path) -> None:
    file = tmp_path / "shop.state"
    kept_shop(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ValueError, match=f"delete {file}"):
        create({"state_file": str(file)})


def test_a_living_shop_with_webhooks_is_kept_while_it_lives(run: Run, servers: Servers) -> None:
    hook = Hook(servers)
    with run(products=300, changes_per_minute=6_000, webhook_url=hook.url) as before:
        before.wait_for(lambda status: status["webhooks"]["acked"] > 60 and status["orders"] > 50)
    with run(webhook_url=hook.url) as after:
        after.wait_for(acked(0))
        counts = list(before.world.counts.newest_first())
        assert list(after.world.counts.newest_first()) == counts
