"""Stock as of a moment is exactly what the simulated shops had at that moment."""

import random
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import pytest

from app.domain import Kind, StockCount, Strategy
from app.stores import history
from app.stores.sql.engine import Database
from tests.flows.shops import SHOP, Shop, shop

STEPS, QUESTIONS = 8, 1_000
Counts = Mapping[tuple[str, str, str], Decimal]


def counts_there(place: Shop) -> Counts:
    """Every count that the vendor has now, but zeros: whether those are listed differs by vendor."""
    records = [record for page in place.source.full(Kind.STOCK) for record in page.records]
    counts = [record for record in records if isinstance(record, StockCount) and record.quantity]
    return {(count.listing_id, count.location_id, count.state): count.quantity for count in counts}


def log_of(place: Shop) -> list[tuple[datetime, Counts]]:
    """What the vendor had at several moments, in each of which all of it was synced."""
    log = []
    place.run(Strategy.FULL)
    for _ in range(STEPS):
        place.change(40)
        place.run(Strategy.INVENTORY)
        log.append((place.deps.now(), counts_there(place)))
    return log


@pytest.mark.parametrize("vendor", ["finale", "square"])
def test_stock_as_of_a_moment_is_what_the_vendor_had(vendor: str, database: Database) -> None:
    dice = random.Random(7)
    with shop(vendor, database) as place:
        log = log_of(place)
        listings = sorted({key[0] for _, counts in log for key in counts})
        wrong = []
        for _ in range(QUESTIONS):
            moment, there = dice.choice(log)
            listing = dice.choice(listings)
            with database.read() as conn:
                then = history.stock_as_of(conn, SHOP, listing, moment)
            ours = {(listing, one.location_id, one.state): one.quantity for one in then if one.quantity}
            if ours != {key: quantity for key, quantity in there.items() if key[0] == listing}:
                wrong.append((listing, moment))
    assert (wrong, len({tuple(sorted(counts.items())) for _, counts in log})) == ([], STEPS)
