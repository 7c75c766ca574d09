"""Which listings are out of stock or low."""

from collections import Counter
from decimal import Decimal

import pytest

from app.domain import Listing, StockCount
from app.stores import catalog
from app.stores.catalog import critical
from app.stores.sql.engine import Database
from tests.fakes import EPOCH, SHOP, listing


def counted(listing_id: str, *quantities: str, state: str = "on_hand", deleted: bool = False) -> list[StockCount]:
    """Stock of a listing, one location each."""
    return [
        StockCount(listing_id, f"L{place}", state, Decimal(quantity), deleted=deleted)
        for place, quantity in enumerate(quantities)
    ]


def hold(database: Database, *records: Listing | StockCount, connection: str = SHOP) -> None:
    with database.begin() as conn:
        catalog.apply(conn, connection, records, read_at=EPOCH, now=EPOCH)


def found(database: Database) -> dict[str, str]:
    """The state of each critical listing."""
    with database.read() as conn:
        items = critical.among(conn, SHOP, ["A"])
    return {item.external_id: item.state for item in items}


@pytest.mark.parametrize(
    ("quantities", "reorder_point", "state"),
    [
        (("0",), None, "out"),
        (("-1",), None, "out"),
        (("0",), "5", "out"),
        (("5",), "5", "low"),
        (("0.5",), "5", "low"),
        (("2", "2"), "5", "low"),
        (("-2", "2"), None, "out"),
        (("0.1", "0.2", "-0.3"), None, "out"),
        (("6",), "5", None),
        (("3", "3"), "5", None),
        (("1",), None, None),
        (("1",), "0", None),
        ((), "5", None),
    ],
)
def test_the_sum_over_locations_decides(
    database: Database, quantities: tuple[str, ...], reorder_point: str | None, state: str | None
) -> None:
    threshold = None if reorder_point is None else Decimal(reorder_point)
    hold(database, listing("A", reorder_point=threshold), *counted("A", *quantities))
    assert found(database).get("A") == state


@pytest.mark.parametrize("fields", [{"deleted": True}, {"active": False}])
def test_a_listing_that_is_not_for_sale_is_not_critical(database: Database, fields: dict[str, bool]) -> None:
    hold(database, listing("A", **fields), *counted("A", "0"))
    assert found(database) == {}


def test_what_is_on_order_does_not_count_as_on_hand(database: Database) -> None:
    hold(database, listing("A"), *counted("A", "0"), *counted("A", "50", state="on_order"))
    assert found(database) == {"A": "out"}


def test_a_deleted_count_says_nothing(database: Database) -> None:
    hold(database, listing("A"), *counted("A", "0", deleted=True))
    assert found(database) == {}


def test_another_connections_listings_are_its_own(database: Database) -> None:
    hold(database, listing("A"), *counted("A", "0"), connection="elsewhere")
    assert found(database) == {}


def test_stock_of_a_listing_with_the_same_id_elsewhere_does_not_count(database: Database) -> None:
    hold(database, listing("A"), *counted("A", "0"))
    hold(database, listing("A"), *counted("A", "9"), connection="elsewhere")
    assert found(database) == {"A": "out"}


def test_an_item_tells_what_is_on_hand_exactly(database: Database) -> None:
    hold(database, listing("A", reorder_point=Decimal("2.5")), *counted("A", "0.1", "0.2"))
    with database.read() as conn:
        (item,) = critical.among(conn, SHOP, ["A"])
    assert item == ("A", "SKU-A", "Product A", Decimal("0.3"), Decimal("2.5"), "low")


def test_both_states_are_counted(database: Database) -> None:
    low = listing("A", reorder_point=Decimal(5))
    hold(database, low, listing("B"), listing("C"), *counted("A", "1"), *counted("B", "0"), *counted("C", "0"))
    with database.read() as conn:
        assert Counter(dict(critical.states(conn, SHOP)).values()) == {"out": 2, "low": 1}


def test_an_empty_shop_has_no_critical_listings(database: Database) -> None:
    with database.read() as conn:
        assert critical.states(conn, SHOP) == []


@pytest.mark.parametrize(("limit", "expected"), [(None, ["A", "B", "C"]), (2, ["A", "B"])])
def test_ids_are_given_in_order_up_to_a_limit(database: Database, limit: int | None, expected: list[str]) -> None:
    hold(database, *(listing(name) for name in "CAB"), *(count for name in "CAB" for count in counted(name, "0")))
    with database.read() as conn:
        assert critical.ids(conn, SHOP, limit) == expected
