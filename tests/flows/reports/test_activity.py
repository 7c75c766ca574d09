"""What a watcher is shown: each thing that happens, once, in a line."""

import pytest

from app.cli.activity_log import lines_of
from app.domain import Change, Delivery, Kind
from app.errors import Unmappable
from app.flows.reports.activity import ActivityReader, Happened
from app.stores.inbox import inbox
from app.stores.inbox.inbox import Arrival
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World
from tests.letters import die


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def deliver(world: World, event_id: str) -> None:
    delivery = Delivery(event_id, "product.changed", [Change(Kind.PRODUCT, "A")])
    with world.database.begin() as conn:
        inbox.accept(conn, [Arrival(SHOP, delivery, {}, b"{}", world.clock())])


def test_what_happened_before_is_not_shown(world: World) -> None:
    deliver(world, "e1")
    assert list(ActivityReader(world.database).read()) == []


def test_a_delivery_is_shown_once(world: World) -> None:
    reader = ActivityReader(world.database)
    deliver(world, "e1")
    assert [list(reader.read()), list(reader.read())] == [
        [Happened(world.clock(), SHOP, "heard", "product.changed")],
        [],
    ]


def test_a_dead_letter_is_shown_with_its_error_and_the_command_that_shows_it(world: World) -> None:
    reader = ActivityReader(world.database)
    die(world, "A", Unmappable("price: [red]expected a number"))
    (died,) = [one for one in reader.read() if "letter" in one.text]
    (line,) = lines_of(iter([died]))
    assert r"price: \[red]expected a number (tallyhook dead show" in line
