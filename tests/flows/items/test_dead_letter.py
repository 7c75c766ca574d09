"""Dead letters: what is written down when a message dies, and how it comes back to life."""

from collections.abc import Sequence

import pytest

from app.domain import Cause, Change, ItemKey, Kind
from app.errors import Unavailable, Unmappable
from app.flows.items.dead_letter import item_of_message, record_dead_letter
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.stores import owed
from app.stores.letters.rows import Letter
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World, listing
from tests.letters import all_letters

PRODUCT = Kind.PRODUCT
KEY = ItemKey(SHOP, PRODUCT, "A")


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def owe(world: World) -> None:
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(PRODUCT, "A")], Cause.WEBHOOK, world.clock())


def is_owed(world: World) -> bool:
    with world.database.read() as conn:
        return owed.is_owed(conn, KEY)


def sync(world: World) -> None:
    sync_item(world.deps, LeaseKeeper(world.database), KEY)


def die(world: World, error: BaseException, *, message_id: str = "m1", args: Sequence[object] = KEY) -> None:
    record_dead_letter(world.deps, message_id=message_id, actor="sync_item", queue="live", args=args, error=error)


def die_of_fetching(world: World) -> None:
    """The item fails for good at its first fetch, and its message is buried."""
    world.source.poison["A"] = Unmappable("price: expected a number")
    owe(world)
    with pytest.raises(Unmappable) as raised:
        sync(world)
    die(world, raised.value)
    world.source.poison.clear()
    world.source.put(listing("A"))


def letters(world: World) -> list[Letter]:
    return all_letters(world.database)


# --- burying ---


def test_a_dead_item_is_owed_no_longer(world: World) -> None:
    die_of_fetching(world)
    assert not is_owed(world)


def test_a_letter_shows_its_item(world: World) -> None:
    die_of_fetching(world)
    letter = letters(world)[0]
    assert (letter.connection, letter.kind, letter.external_id) == KEY


def test_a_letter_holds_every_attempt(world: World) -> None:
    world.source.failures.extend([Unavailable("down"), Unavailable("still down")])
    owe(world)
    for _ in range(2):
        sync(world)
        world.clock.pass_(60)
    die_of_fetching(world)
    attempts = [(attempt.number, attempt.error_type) for attempt in letters(world)[0].attempts]
    assert attempts == [(1, "Unavailable"), (2, "Unavailable"), (3, "Unmappable")]


def test_every_attempt_has_its_traceback(world: World) -> None:
    world.source.failures.append(Unavailable("down"))
    owe(world)
    sync(world)
    world.clock.pass_(60)
    die_of_fetching(world)
    assert all("in fetch" in attempt.traceback for attempt in letters(world)[0].attempts)


def test_a_message_buried_twice_is_one_letter(world: World) -> None:
    for _ in range(2):
        die(world, Unmappable("no"))
    assert len(letters(world)) == 1


@pytest.mark.parametrize(
    "args",
    [(), ("shop",), ("shop", "product", 5), ("shop", "no such kind", "A"), ("shop", "product", "A", ["B"], "C")],
)
def test_malformed_arguments_name_no_item(args: Sequence[object]) -> None:
    assert item_of_message("sync_item", args) is None


def test_a_message_for_several_items_dies_of_its_first() -> None:
    assert item_of_message("sync_item", ("shop", "product", "A", ["B", "C"])) == ItemKey("shop", Kind.PRODUCT, "A")


def test_another_actors_message_names_no_item() -> None:
    assert item_of_message("run", KEY) is None


def test_a_malformed_message_becomes_a_letter(world: World) -> None:
    die(world, TypeError("missing argument"), args=("shop", {"odd": [1]}))
    assert letters(world)[0].args == ["shop", {"odd": [1]}]
