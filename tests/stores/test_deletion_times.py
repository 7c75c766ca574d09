"""A tombstone says when the source deleted what it stands for, or at least when we found out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain import Kind, Listing, Ref, Scope
from app.stores import catalog
from app.stores.catalog import Read
from app.stores.sql.engine import Database
from tests.rows import row_of

MADE = datetime(2026, 3, 1, tzinfo=UTC)
DELETED = MADE + timedelta(days=1)
FOUND = MADE + timedelta(days=2)


@pytest.fixture
def shop(database: Database) -> Database:
    listings = [
        Listing(f"V{number}", parent_id=f"I{number}", version=number, modified_at=MADE) for number in (1, 2, 3)
    ]
    with database.begin() as conn:
        catalog.apply(conn, "shop", listings, read_at=MADE, now=MADE)
    return database


def told(database: Database, name: str) -> Any:
    with database.read() as conn:
        row = row_of(conn, "shop", Kind.PRODUCT, (name,))
    assert row is not None
    return row["deleted"], row["modified_at"]


def cover(database: Database, *scopes: Scope) -> None:
    with database.begin() as conn:
        catalog.apply_reads(conn, "shop", [Read([], FOUND, scopes)], now=FOUND)


def scope(item: str, changed: datetime | None = None) -> Scope:
    return Scope(Kind.PRODUCT, "parent_id", item, changed=changed)


def test_a_tombstone_has_the_time_of_the_deletion(shop: Database) -> None:
    cover(shop, scope("I1", DELETED))
    assert told(shop, "V1") == (True, DELETED)


def test_without_a_time_of_deletion_it_has_the_time_when_we_found_out(shop: Database) -> None:
    cover(shop, scope("I1"))
    assert told(shop, "V1") == (True, FOUND)


def test_several_deletions_in_one_answer_keep_their_own_times(shop: Database) -> None:
    cover(shop, scope("I1", DELETED), scope("I2", DELETED + timedelta(hours=1)), scope("I3"))
    assert [told(shop, name)[1] for name in ("V1", "V2", "V3")] == [DELETED, DELETED + timedelta(hours=1), FOUND]


def test_what_is_gone_by_its_id_has_the_time_when_we_found_out(shop: Database) -> None:
    with shop.begin() as conn:
        catalog.tombstone(conn, "shop", [Ref(Kind.PRODUCT, "V1")], read_at=FOUND, now=FOUND)
    assert told(shop, "V1") == (True, FOUND)
