"""The clock sends changes to subscribers, and does not wait for them."""

from dataclasses import replace

from app.flows.subscribers import subscribers
from app.rules.access.encryption import Encryption
from app.stores import catalog
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World, listing
from tests.listener import listening
from tests.stack import eventually
from workers.schedule import ROUNDS, Rounds


def test_a_round_of_the_clock_sends_what_changed(database: Database) -> None:
    world = World(database)
    deps = replace(world.deps, encryption=Encryption("w5BKJ0uTPIyE6pTYCk2yE6mXRYVnUVjRUkIhbG0BvbM="))
    with listening() as listener:
        id = subscribers.create(deps, "books", listener.url).subscriber.id
        with database.begin() as conn:
            catalog.apply(conn, SHOP, [listing("A")], read_at=world.clock(), now=world.clock(), by="poll")
        Rounds(deps, {"subscribers": ROUNDS["subscribers"]}).go()
        assert eventually(lambda: subscribers.show(deps, id).last_success_at is not None, within=20)
    assert listener.rows == ["created A"]
