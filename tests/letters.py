"""Dead letters for tests: buried as the flows bury them."""

from collections.abc import Sequence
from typing import Any

from app.domain import Cause, Change, ItemKey, Kind
from app.errors import Unmappable
from app.flows.items.dead_letter import record_dead_letter
from app.stores import owed
from app.stores.letters import dead_letters, letter_search
from app.stores.letters.rows import Letter
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World


def die(
    world: World,
    item: str = "A",
    error: BaseException | None = None,
    *,
    kind: Kind = Kind.PRODUCT,
    connection: str = SHOP,
    message_id: str | None = None,
) -> int:
    """An item that was owed dies of an error; returns its letter's number."""
    key = ItemKey(connection, kind, item)
    with world.database.begin() as conn:
        owed.owe(conn, connection, [Change(kind, item)], Cause.WEBHOOK, world.clock())
    name = message_id or f"{'/'.join(key)}@{world.clock()}"
    died = error or Unmappable("price: expected a number")
    record_dead_letter(world.deps, message_id=name, actor="sync_item", queue="live", args=list(key), error=died)
    return max(letter.id for letter in all_letters(world.database))


def die_without_item(
    world: World, actor: str = "mystery", args: Sequence[Any] = (1,), message_id: str = "odd"
) -> int:
    """A message that is about no item dies; returns its letter's number."""
    record_dead_letter(
        world.deps,
        message_id=message_id,
        actor=actor,
        queue="live",
        args=args,
        error=LookupError(f"no actor {actor}"),
    )
    return max(letter.id for letter in all_letters(world.database))


def all_letters(database: Database) -> list[Letter]:
    """Every letter whole, oldest first."""
    with database.read() as conn:
        letters = letter_search.page(conn, [], {}, limit=100_000)
        whole = [dead_letters.get(conn, letter.id) for letter in letters]
    return sorted((letter for letter in whole if letter is not None), key=lambda letter: letter.id)


def letter(world: World, id: int) -> Letter:
    """One letter whole."""
    with world.database.read() as conn:
        row = dead_letters.get(conn, id)
    assert row is not None
    return row
