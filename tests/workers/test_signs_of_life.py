"""A worker that stops as it should says so, and nobody waits for it."""

from app.stores.sql.engine import Database
from app.stores.upkeep import heartbeats
from tests.stack import eventually
from tests.workers.away import WITHIN, Shop


def living(shop: Shop) -> int:
    with shop.database.read() as conn:
        return len(heartbeats.living(conn, shop.deps.now().replace(year=2000)))


def test_a_worker_that_was_stopped_is_not_taken_for_a_living_one(database: Database) -> None:
    shop = Shop(database, products=1)
    with shop.employed():
        assert eventually(lambda: living(shop) == 1, within=WITHIN)
    assert living(shop) == 0
