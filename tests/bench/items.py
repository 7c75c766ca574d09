"""How fast items are found and explained at 280,000 listings and 10,000,000 rows of history.

``python -m tests.bench.items [--database sqlite|postgresql] [--scale 1.0] [--rounds 200]``

The baseline is what one would write without an index of one's own: ``LIKE '%word%'`` over all listings. Queries are drawn
from the names and numbers that the shop has; typing errors are made at random.
"""

import argparse
import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.flows.catalog import changes, find_items, item_history, items
from app.flows.catalog.items import ItemId
from app.flows.deps import Deps
from app.stores import history
from app.stores.search import SearchIndex
from app.stores.sql.engine import Database, open_database
from app.stores.sql.statements import Statement
from tests.bench import servers
from tests.bench.installation import DATABASES
from tests.bench.questions import milliseconds, rank
from tests.fakes import FakeSource, ListQueue

TARGET_MS = 50.0
"""At the 95th percentile."""

SHOP = "shop"
LISTINGS, CHANGES = 280_000, 10_000_000
COLOURS = ("Red", "Blue", "Green", "Black", "White", "Amber", "Violet", "Silver", "Golden", "Brown", "Ivory")
SORTS = ("Organic", "Classic", "Vintage", "Sturdy", "Folding", "Wireless", "Handmade", "Recycled", "Foldable")
THINGS = ("Mug", "Teapot", "Lantern", "Notebook", "Backpack", "Umbrella", "Cushion", "Skillet", "Candle", "Blanket")
Question = Callable[[Deps, random.Random], Any]


def main() -> None:
    """Print every question's time for each database."""
    chosen = _options()
    listings, rows = (max(100, int(full * chosen.scale)) for full in (LISTINGS, CHANGES))
    print(f"items; {servers.machine()}\n{listings:,} listings, {rows:,} rows of history")
    for kind in [chosen.database] if chosen.database else DATABASES:
        bench(kind, listings, rows, chosen.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=200)
    return parser.parse_args()


def bench(kind: str, listings: int, rows: int, rounds: int) -> None:
    """Print every question's time at this many listings and rows of history."""
    with _filled(kind, listings, rows) as deps:
        _bench(deps, rounds, listings)


@contextmanager
def _filled(kind: str, listings: int, rows: int) -> Iterator[Deps]:
    with (
        servers.scratch() as folder,
        servers.database_url(kind, folder) as url,
        closing(open_database(url)) as database,
    ):
        database.migrate()
        _fill(database, listings, rows)
        source = {SHOP: FakeSource()}
        yield Deps(database, ListQueue(), source, source, search=SearchIndex(Path(folder) / "search.db"))


def _fill(database: Database, listings: int, rows: int) -> None:
    now = datetime.now(UTC)
    for statement, count in ((_listings(), listings), (_STOCK, listings), (_HISTORY, rows)):
        with database.begin() as conn:
            statement.run(conn, {"rows": count, "listings": listings, "now": now, "epoch": now - timedelta(days=365)})
    if database.dialect == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql("VACUUM ANALYZE")


def _bench(deps: Deps, rounds: int, listings: int) -> None:
    print(f"\n{deps.database.dialect}, load average {os.getloadavg()[0]:.1f}")
    print(f"the index of this host, filled once: {milliseconds(lambda: find_items.follow(deps)) / 1000:.1f} s")
    print(f"{'milliseconds':44}{'p50':>9}{'p95':>9}{'target':>9}")
    baseline = _print(deps, "baseline: LIKE over all listings", _like, max(5, rounds // 10), None)
    for name, question in _questions(listings).items():
        p95 = _print(deps, name, question, rounds, TARGET_MS)
        if name.startswith("find"):
            print(f"{'':44}{baseline / p95:17.0f} times as fast as LIKE")


def _print(deps: Deps, name: str, question: Question, rounds: int, target: float | None) -> float:
    dice = random.Random(7)
    took = sorted(milliseconds(lambda: question(deps, dice)) for _ in range(rounds))
    p50, p95 = rank(took, 0.5), rank(took, 0.95)
    missed = "  MISSED" if target is not None and p95 > target else ""
    print(f"{name:44}{p50:9.1f}{p95:9.1f}{'' if target is None else f'{target:9.0f}'}{missed}", flush=True)
    return p95


def _questions(listings: int) -> Mapping[str, Question]:
    def some(dice: random.Random) -> ItemId:
        return ItemId(SHOP, f"{1_000_000 + dice.randrange(1, listings + 1)}")

    def find(query: Callable[[random.Random], str]) -> Question:
        return lambda deps, dice: find_items.find_items(deps, query(dice), limit=20)

    return {
        "find: a SKU": find(lambda dice: f"SKU-{some(dice).external_id}"),
        "find: the beginning of a SKU": find(lambda dice: f"sku-{some(dice).external_id[:4]}"),
        "find: a common word": find(lambda dice: dice.choice(THINGS).lower()),
        "find: part of a word": find(lambda dice: dice.choice(THINGS)[1:5].lower()),
        "find: three words": find(lambda dice: f"{dice.choice(THINGS)} {dice.choice(COLOURS)} {dice.choice(SORTS)}"),
        "find: a mistyped word": find(
            lambda dice: _mistyped(dice.choice(("Wireless", "Handmade", "Backpack")), dice)
        ),
        "find: nothing": find(lambda dice: f"xyzzy{dice.randrange(1000)}"),
        "show": lambda deps, dice: items.show(deps, some(dice)),
        "history: a page": lambda deps, dice: item_history.item_history(deps, some(dice)),
        "stock as of a moment": lambda deps, dice: item_history.stock_as_of(
            deps, some(dice), datetime.now(UTC) - timedelta(days=dice.randrange(1, 360))
        ),
        "the feed: the newest page": lambda deps, dice: changes.changes_after(deps, _near_the_end(deps), 500),
        "the feed: from the beginning": lambda deps, dice: changes.changes_after(deps, None, 500),
    }


def _near_the_end(deps: Deps) -> str:
    with deps.database.read() as conn:
        end = history.end(conn)
    return str(end._replace(id=max(0, end.id - 500)))


def _mistyped(word: str, dice: random.Random) -> str:
    place = dice.randrange(1, len(word) - 1)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _like(deps: Deps, dice: random.Random) -> Any:
    query = text(
        "SELECT external_id FROM listings WHERE connection = 'shop' AND NOT deleted AND (lower(name) LIKE :word"
        " OR lower(sku) LIKE :word OR lower(barcode) LIKE :word OR lower(supplier_sku) LIKE :word) ORDER BY name LIMIT 20"
    )
    with deps.database.read() as conn:
        return conn.execute(query, {"word": f"%{dice.choice(THINGS).lower()}%"}).all()


def _of_each(insert: str) -> Statement:
    """An insert that selects from ``n(i)``: 1 to ``:rows``."""
    return Statement(
        f"WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < :rows) {insert}",
        postgresql=f"WITH n(i) AS (SELECT generate_series(1, CAST(:rows AS integer))) {insert}",
    )


def _word(words: tuple[str, ...], divisor: int) -> str:
    choices = " ".join(f"WHEN {place} THEN '{word}'" for place, word in enumerate(words))
    return f"CASE (i / {divisor}) % {len(words)} {choices} END"


def _listings() -> Statement:
    name = f"{_word(SORTS, 97)} || ' ' || {_word(COLOURS, 7)} || ' ' || {_word(THINGS, 1)} || ' No. ' || i"
    return _of_each(
        f"""
        INSERT INTO listings (connection, external_id, sku, name, barcode, supplier_sku, active, archived, deleted,
                              version, row_hash, read_at, written_at, written_by)
        SELECT '{SHOP}', CAST(1000000 + i AS text), 'SKU-' || (1000000 + i), {name},
               CAST(4000000000000 + CAST(i AS bigint) * 7919 AS text), 'V' || (i * 13), 1 = 1, 1 = 0, 1 = 0, 1, i, :now,
               :now, 'first load'
        FROM n
        """
    )


_STOCK = _of_each(
    f"""
    INSERT INTO stock (connection, listing_id, location_id, state, quantity, deleted, version, row_hash, read_at,
                       written_at, written_by)
    SELECT '{SHOP}', CAST(1000000 + i AS text), 'L1', 'on_hand', i % 90, 1 = 0, 1, i, :now, :now, 'first load' FROM n
    """
)
_HISTORY = Statement(
    f"""
    WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
    INSERT INTO history (connection, kind, external_id, location_id, state, op, changed_at, recorded_at, written_by,
                         quantity_before, quantity_after)
    SELECT '{SHOP}', 'stock', CAST(1000001 + i % :listings AS text), 'L1', 'on_hand', 'updated', t.at, t.at, 'webhook',
           i % 90, (i + 7) % 90
    FROM (SELECT i, strftime('%Y-%m-%d %H:%M:%S', :epoch, '+' || (i * 3) || ' seconds') || '.000000' AS at FROM n) t
    """,
    postgresql=f"""
    INSERT INTO history (connection, kind, external_id, location_id, state, op, changed_at, recorded_at, written_by,
                         quantity_before, quantity_after)
    SELECT '{SHOP}', 'stock', CAST(1000001 + i % CAST(:listings AS integer) AS text), 'L1', 'on_hand', 'updated', t.at,
           t.at, 'webhook', i % 90, (i + 7) % 90
    FROM (SELECT i, CAST(:epoch AS timestamptz) + i * interval '3 seconds' AS at
          FROM generate_series(1, CAST(:rows AS integer)) AS n(i)) t
    """,
)

if __name__ == "__main__":
    main()
