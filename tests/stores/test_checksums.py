"""The checksum pass finds every edit by hand, and nothing else."""

import pytest
from sqlalchemy import text

from app.domain import KINDS, Kind, Listing, Record, StockCount, key_of, quantity
from app.stores import catalog
from app.stores.catalog import Key, stored_rows
from app.stores.catalog.checksums import find_edited, is_edited, mark_edited
from app.stores.sql.engine import Database
from tests.fakes import EPOCH, count, listing

AMOUNTS = ["0", "7", "1.50", "100", "12345.67891", "-3", "999999999999999"]
RECORDS: list[Record] = [
    listing("plain"),
    listing(
        "full", active=False, reorder_point=quantity("2.50"), lead_time_days=3, description="é\n\u2028", extra="{}"
    ),
    Listing("bare"),
    listing("gone", deleted=True),
    count("plain", 4),
    *(StockCount("a", f"L{at}", "on_hand", quantity(amount)) for at, amount in enumerate(AMOUNTS)),
]


@pytest.fixture
def held(database: Database) -> Database:
    with database.begin() as conn:
        catalog.apply(conn, "shop", RECORDS, read_at=EPOCH, now=EPOCH)
    return database


def edited(database: Database, kind: Kind = Kind.PRODUCT) -> list[Key]:
    return [row.key for row in find_edited(database, "shop", kind)]


def by_hand(database: Database, sql: str) -> None:
    with database.begin() as conn:
        conn.execute(text(sql))


@pytest.mark.parametrize("kind", [Kind.PRODUCT, Kind.STOCK])
def test_what_we_wrote_ourselves_is_not_edited(held: Database, kind: Kind) -> None:
    assert edited(held, kind) == []


@pytest.mark.parametrize(
    "edit",
    [
        "name = 'mine', written_at = '2026-02-02 00:00:00.000000'",
        "name = 'mine', row_hash = 5",
        "name = 'mine', version = 99",
        "active = NOT active, read_at = written_at, version = 3",
        "deleted = true, version = 3",
        "reorder_point = 1, row_hash = 0",
    ],
)
def test_an_edit_that_moved_our_own_columns_is_found(held: Database, edit: str) -> None:
    by_hand(held, f"UPDATE listings SET {edit} WHERE external_id = 'plain'")
    assert edited(held) == [("plain",)]


def test_a_row_that_was_inserted_by_hand_is_found(held: Database) -> None:
    columns = "active, deleted, version, row_hash, read_at, written_at"
    by_hand(
        held,
        f"INSERT INTO listings (connection, external_id, {columns}) SELECT connection, 'mine', {columns}"
        " FROM listings WHERE external_id = 'plain'",
    )
    assert edited(held) == [("mine",)]


def test_an_edited_count_is_found(held: Database) -> None:
    by_hand(held, "UPDATE stock SET quantity = 5, version = 9 WHERE listing_id = 'plain'")
    assert edited(held, Kind.STOCK) == [("plain", "L1", "on_hand")]


def test_a_tombstone_that_we_concluded_is_not_edited(held: Database) -> None:
    by_hand(held, "UPDATE listings SET deleted = true, row_hash = 0, version = 9 WHERE external_id = 'plain'")
    assert edited(held) == []


def test_an_edit_is_marked_once(held: Database) -> None:
    by_hand(held, "UPDATE listings SET name = 'mine', version = 9 WHERE external_id = 'plain'")
    found = find_edited(held, "shop", Kind.PRODUCT)
    with held.begin() as conn:
        mark_edited(conn, "shop", Kind.PRODUCT, found)
        assert conn.execute(text("SELECT row_hash FROM listings WHERE external_id = 'plain'")).scalar() == -1
    assert edited(held) == []


@pytest.mark.parametrize("kind", [Kind.PRODUCT, Kind.STOCK])
def test_a_single_row_is_judged_as_the_pass_over_all_judges_it(held: Database, kind: Kind) -> None:
    by_hand(held, "UPDATE listings SET name = 'mine', version = 9 WHERE external_id = 'plain'")
    by_hand(held, "UPDATE stock SET quantity = 5, version = 9 WHERE location_id = 'L2'")
    keys = [tuple(key_of(record)) for record in RECORDS if KINDS[type(record)] is kind]
    rows = stored_rows(held, "shop", kind, keys)
    assert sorted(key for key, row in rows.items() if is_edited(row)) == sorted(edited(held, kind)) != []


def test_a_row_deleted_by_hand_is_noted_by_the_database(held: Database) -> None:
    by_hand(held, "DELETE FROM stock WHERE listing_id = 'plain'")
    by_hand(held, "DELETE FROM listings WHERE external_id = 'gone'")
    with held.read() as conn:
        found = conn.execute(text("SELECT connection, kind, item FROM removals")).all()
    assert found == [("shop", "stock", "plain/L1/on_hand")]
