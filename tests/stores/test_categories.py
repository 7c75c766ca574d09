"""Listings of a category, whatever people call it."""

from datetime import UTC, datetime

import pytest

from app.domain import Category, Listing
from app.stores import catalog
from app.stores.sql.engine import Database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def shop(database: Database) -> Database:
    categories = [
        Category("C1", name="Home", version=1),
        Category("C2", parent_id="C1", name="Bath", version=1),
        Category("C3", name="Bath", version=1),
        Category("C4", parent_id="C5", name="Round", version=1),
        Category("C5", parent_id="C4", name="About", version=1),
    ]
    listings = [
        Listing("V1", category_id="C2", category="Bath", category_path="Home / Bath", version=1),
        Listing("V2", category_id="C3", category="Bath", category_path="Bath", version=1),
        Listing("V3", category_id="C1", version=1),
        Listing("V4", category="Tea", category_path="Tea", version=1),
    ]
    with database.begin() as conn:
        catalog.apply(conn, "shop", [*categories, *listings], read_at=NOW, now=NOW)
    return database


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("C2", ["V1"]),
        ("Bath", ["V1", "V2"]),
        ("Home / Bath", ["V1"]),
        ("Home", ["V3"]),
        ("Tea", ["V4"]),
        ("bath", []),
    ],
)
def test_a_category_is_an_id_a_name_or_a_path(shop: Database, category: str, expected: list[str]) -> None:
    with shop.read() as conn:
        assert catalog.of_category(conn, "shop", category) == expected


@pytest.mark.parametrize("name", ["C2", "Bath", "Home / Bath", "Tea"])
def test_every_name_of_a_category_is_known(shop: Database, name: str) -> None:
    with shop.read() as conn:
        assert name in catalog.category_names(conn, "shop")


def test_a_category_of_another_connection_is_unknown(shop: Database) -> None:
    with shop.read() as conn:
        assert catalog.category_names(conn, "other") == []
