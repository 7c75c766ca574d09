"""Writers of the catalog wait for each other, but never in a circle."""

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

from app.domain import Kind, Listing, Record, Scope
from app.stores import catalog
from app.stores.catalog import bulk
from app.stores.catalog.differ import Differ
from app.stores.sql.engine import Database, open_database

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)
ITEMS = [f"i{number:02d}" for number in range(12)]
ROUNDS = 12

SLOW_ROWS = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON listings FOR EACH ROW EXECUTE FUNCTION slow()
"""
"""Makes every row take a while, so that writers do meet in the middle of their work."""


def listing(item: str, version: int) -> Listing:
    return Listing(external_id=item, parent_id=f"p{item}", name=f"version {version}", version=version)


def read(version: int, shown: list[str], gone: list[str]) -> catalog.Read:
    records: list[Record] = [listing(item, version) for item in shown]
    covers = [Scope(Kind.PRODUCT, "parent_id", f"p{item}") for item in gone]
    return catalog.Read(records, T0 + timedelta(seconds=version), covers)


def item_commits(database: Database, start: int) -> None:
    """Commits of two answers: the first writes late keys and closes early ones, the second the other way round."""
    for version in range(start, start + 2 * ROUNDS, 2):
        reads = [read(version, ITEMS[6:], ITEMS[:3]), read(version, ITEMS[3:6], ITEMS[9:])]
        with database.begin() as conn:
            catalog.apply_reads(conn, "shop", reads, now=T0 + timedelta(seconds=version, milliseconds=1))


def bulk_commits(database: Database) -> None:
    for version in range(ROUNDS):
        read_at = T0 + timedelta(seconds=2 * version)
        differ = Differ(database, "shop", Kind.PRODUCT, read_at)
        differ.feed([listing(item, 2 * version) for item in ITEMS])
        diff = differ.diff(Scope(Kind.PRODUCT))
        bulk.write(database, "shop", diff, read_at=read_at, now=read_at, scope=Scope(Kind.PRODUCT))


def test_workers_and_a_bulk_write_never_deadlock(empty_postgres_url: str) -> None:
    failures: list[BaseException] = []

    def run(work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=guarded)
        thread.start()
        return thread

    with closing(open_database(empty_postgres_url, pool=4)) as database:
        database.migrate()
        with database.begin() as conn:
            conn.exec_driver_sql(SLOW_ROWS)
        threads = [
            run(lambda: item_commits(database, 0)),
            run(lambda: item_commits(database, 1)),
            run(lambda: bulk_commits(database)),
        ]
        for thread in threads:
            thread.join(120)
    assert failures == []
