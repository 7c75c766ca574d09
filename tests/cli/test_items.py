"""``tallyhook items``: an item, why its figures are what they are, and what they were."""

import pytest

from app.domain import Kind, Location, Record
from app.stores import catalog
from app.stores.history.rows import begin_load
from tests.cli.conftest import Terminal
from tests.fakes import EPOCH, SHOP, count, listing


@pytest.fixture
def shop(terminal: Terminal) -> Terminal:
    """A's stock went from 5 to 3."""
    first: list[Record] = [listing("A", price_minor=250, currency="EUR"), count("A", 5), Location("L1", name="Main")]
    then: list[Record] = [count("A", 3, 2)]
    with terminal.deps.database.begin() as conn:
        begin_load(conn, SHOP, Kind.STOCK, EPOCH)
    for records in (first, then):
        with terminal.deps.database.begin() as conn:
            catalog.apply(conn, SHOP, records, read_at=EPOCH, now=EPOCH, by="run 7")
    return terminal


def test_show_tells_what_there_is_of_an_item_and_how_to_ask_why(shop: Terminal) -> None:
    typed = shop.type("items", "show", "SKU-A")
    assert typed.code == 0
    for part in ("Product A", "2.50 EUR", "Main", "3 on hand", "tallyhook items history shop:A"):
        assert part in typed.out


def test_history_tells_every_change_and_what_brought_it(shop: Terminal) -> None:
    typed = shop.type("items", "history", "SKU-A")
    assert ("on hand at Main 5 → 3" in typed.out, "run 7" in typed.out) == (True, True)


def test_history_leads_to_older_changes(shop: Terminal) -> None:
    page = shop.type("items", "history", "SKU-A", "--limit", "1", "--json").json
    older = shop.type("items", "history", "SKU-A", "--before", page["next"], "--json").json
    assert {"quantity": [None, "5"]} in [row["fields"] for row in older["rows"]]


def test_asof_tells_what_the_stock_was(shop: Terminal) -> None:
    assert "3 on hand at" in shop.type("items", "asof", "SKU-A", "2026-05-01").out


def test_asof_says_from_when_on_anything_is_known(shop: Terminal) -> None:
    assert "Nothing is known of shop:A" in shop.type("items", "asof", "SKU-A", "2020-01-01").out


def test_asof_of_no_moment_is_exit_code_2(shop: Terminal) -> None:
    typed = shop.type("items", "asof", "SKU-A", "yesterday-ish")
    assert (typed.code, "not a moment" in typed.err) == (2, True)


def test_an_unknown_item_says_how_to_look_for_it(shop: Terminal) -> None:
    typed = shop.type("items", "show", "nothing")
    assert (typed.code != 0, "no item 'nothing'" in typed.err) == (True, True)


def test_find_shows_what_is_called_so(shop: Terminal) -> None:
    typed = shop.type("items", "find", "prodct", "a")
    assert (typed.code, "shop:A" in typed.out) == (0, True)


def test_find_tells_which_items_come_first(shop: Terminal) -> None:
    told = shop.type("items", "find", "--help").out
    assert ("best first" in told, "newest first" in told) == (True, False)


def test_find_says_when_nothing_is_called_so(shop: Terminal) -> None:
    assert shop.type("items", "find", "xyzzy").out == "Nothing is called that, or nearly so.\n"
