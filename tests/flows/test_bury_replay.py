"""Dead letters: what is written down when a message dies, and how it comes back to life."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from app.channels.queue import DeafQueue
from app.domain import Cause, Change, ItemKey, Kind
from app.errors import Refused, Unavailable, Unmappable
from app.flows.bury import bury, item_of
from app.flows.leases import LeaseKeeper
from app.flows.replay import replay
from app.flows.sync_item import sync_item
from app.stores import catalog, dead_letters, owed, runs
from app.stores.engine import Database
from tests.asking import request_reconcile
from tests.fakes import SHOP, World, listing

PRODUCT = Kind.PRODUCT
KEY = ItemKey(SHOP, PRODUCT, "A")


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def owe(world: World) -> None:
    with world.database.begin() as conn:
        owed.remember(conn, SHOP, [Change(PRODUCT, "A")], Cause.WEBHOOK, world.clock())


def is_owed(world: World) -> bool:
    with world.database.read() as conn:
        return owed.is_owed(conn, KEY)


def sync(world: World) -> None:
    sync_item(world.deps, LeaseKeeper(world.database), KEY)


def die(world: World, error: BaseException, *, message_id: str = "m1", args: Sequence[object] = KEY) -> None:
    bury(world.deps, message_id=message_id, actor="sync_item", queue="live", args=args, error=error)


def die_of_fetching(world: World) -> None:
    """The item fails for good at its first fetch, and its message is buried."""
    world.source.poison["A"] = Unmappable("price: expected a number")
    owe(world)
    with pytest.raises(Unmappable) as raised:
        sync(world)
    die(world, raised.value)
    world.source.poison.clear()
    world.source.put(listing("A"))


def letters(world: World) -> list[dict[str, Any]]:
    with world.database.read() as conn:
        ids = [row["id"] for row in dead_letters.list_(conn, state=None)]
        return [letter for id_ in ids if (letter := dead_letters.get(conn, id_)) is not None]


# --- burying ---


def test_a_dead_item_is_owed_no_longer(world: World) -> None:
    die_of_fetching(world)
    assert not is_owed(world)


def test_a_letter_tells_its_item(world: World) -> None:
    die_of_fetching(world)
    letter = letters(world)[0]
    assert (letter["connection"], letter["kind"], letter["external_id"]) == KEY


def test_a_letter_holds_every_attempt(world: World) -> None:
    world.source.failures.extend([Unavailable("down"), Unavailable("still down")])
    owe(world)
    for _ in range(2):
        sync(world)
        world.clock.pass_(60)
    die_of_fetching(world)
    attempts = [(attempt["number"], attempt["error_type"]) for attempt in letters(world)[0]["attempts"]]
    assert attempts == [(1, "Unavailable"), (2, "Unavailable"), (3, "Unmappable")]


def test_every_attempt_has_its_traceback(world: World) -> None:
    world.source.failures.append(Unavailable("down"))
    owe(world)
    sync(world)
    world.clock.pass_(60)
    die_of_fetching(world)
    assert all("in fetch" in attempt["traceback"] for attempt in letters(world)[0]["attempts"])


def test_a_message_buried_twice_is_one_letter(world: World) -> None:
    for _ in range(2):
        die(world, Unmappable("no"))
    assert len(letters(world)) == 1


@pytest.mark.parametrize(
    "args",
    [(), ("shop",), ("shop", "product", 5), ("shop", "no such kind", "A"), ("shop", "product", "A", ["B"], "C")],
)
def test_malformed_arguments_name_no_item(args: Sequence[object]) -> None:
    assert item_of("sync_item", args) is None


def test_a_message_for_several_items_dies_of_its_first() -> None:
    assert item_of("sync_item", ("shop", "product", "A", ["B", "C"])) == ItemKey("shop", Kind.PRODUCT, "A")


def test_another_actors_message_names_no_item() -> None:
    assert item_of("run", KEY) is None


def test_a_malformed_message_becomes_a_letter(world: World) -> None:
    die(world, TypeError("missing argument"), args=("shop", {"odd": [1]}))
    assert letters(world)[0]["args"] == ["shop", {"odd": [1]}]


# --- replaying ---


def test_a_replayed_item_is_owed_again(world: World) -> None:
    die_of_fetching(world)
    replay(world.deps, letters(world)[0]["id"])
    assert is_owed(world)


def test_a_replay_wakes_the_workers(world: World) -> None:
    die_of_fetching(world)
    replay(world.deps, letters(world)[0]["id"])
    assert world.queue.woken == [KEY]


def test_a_replayed_item_reaches_its_row(world: World) -> None:
    die_of_fetching(world)
    replay(world.deps, letters(world)[0]["id"])
    sync(world)
    with world.database.read() as conn:
        assert catalog.get(conn, SHOP, PRODUCT, ("A",)) is not None


def test_a_replay_says_what_it_did(world: World) -> None:
    die_of_fetching(world)
    assert "shop/product/A is owed again" in replay(world.deps, letters(world)[0]["id"])


def test_a_replayed_letter_is_marked(world: World) -> None:
    die_of_fetching(world)
    replay(world.deps, letters(world)[0]["id"])
    assert (letters(world)[0]["state"], letters(world)[0]["replays"]) == ("replayed", 1)


def test_a_letter_is_replayed_once(world: World) -> None:
    die_of_fetching(world)
    replay(world.deps, letters(world)[0]["id"])
    with pytest.raises(Refused, match="is replayed"):
        replay(world.deps, letters(world)[0]["id"])


def test_a_discarded_letter_is_not_replayed(world: World) -> None:
    die_of_fetching(world)
    with world.database.begin() as conn:
        dead_letters.discard(conn, letters(world)[0]["id"])
    with pytest.raises(Refused, match="is discarded"):
        replay(world.deps, letters(world)[0]["id"])


def test_a_letter_that_never_was_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="no dead letter 987654"):
        replay(world.deps, 987_654)


def test_an_item_that_dies_again_after_its_replay_is_a_second_letter(world: World) -> None:
    die_of_fetching(world)
    replay(world.deps, letters(world)[0]["id"])
    world.source.poison["A"] = Unmappable("still odd")
    with pytest.raises(Unmappable) as raised:
        sync(world)
    die(world, raised.value, message_id="m2")
    assert [letter["state"] for letter in letters(world)] == ["dead", "replayed"]


def test_of_two_people_who_replay_one_letter_at_once_one_succeeds(world: World) -> None:
    die_of_fetching(world)
    letter = letters(world)[0]["id"]
    together = Barrier(2)

    def now() -> datetime:
        """Asked between looking and marking: both look before either marks, if nothing keeps them apart."""
        with suppress(BrokenBarrierError):
            together.wait(0.2)
        return world.clock()

    def click(_: int) -> bool:
        try:
            replay(replace(world.deps, now=now), letter)
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(click, range(2))) == 1


# --- letters that are no item ---


def itemless(world: World) -> int:
    bury(world.deps, message_id="m1", actor="run", queue="bulk", args=(7,), error=Unavailable("down"))
    return int(letters(world)[0]["id"])


def test_a_letter_without_an_item_is_sent_again_as_it_was(world: World) -> None:
    replay(world.deps, itemless(world))
    assert world.queue.resent == [("run", "bulk", [7])]


def test_a_letter_that_could_not_be_sent_again_says_so(world: World) -> None:
    letter = itemless(world)
    with pytest.raises(Unavailable):
        replay(replace(world.deps, queue=DeafQueue()), letter)


def test_a_letter_that_could_not_be_sent_again_is_still_dead(world: World) -> None:
    letter = itemless(world)
    with pytest.raises(Unavailable):
        replay(replace(world.deps, queue=DeafQueue()), letter)
    assert letters(world)[0]["state"] == "dead"


def test_the_letter_of_a_failed_run_resumes_it(world: World) -> None:
    run_id = request_reconcile(world.deps, SHOP)
    with world.database.begin() as conn:
        runs.start(conn, run_id, "t", 15, world.clock())
        runs.finish(conn, run_id, "t", "failed", "down", world.clock())
    bury(world.deps, message_id="m1", actor="run", queue="bulk", args=(run_id,), error=Unavailable("down"))
    world.queue.runs.clear()
    assert "goes on" in replay(world.deps, int(letters(world)[0]["id"]))
    assert (world.queue.runs, world.queue.resent) == ([run_id], [])
    with world.database.read() as conn:
        assert runs.get(conn, run_id)["status"] == "idle"  # type: ignore[index]
