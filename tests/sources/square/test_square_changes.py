"""The simulator's log of inventory changes: it adds up to the counts, and has its own pages, order and filters."""

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.sources.simulating.settings import read
from app.sources.square.simulator.account import keeper_of, opened
from app.sources.square.simulator.settings import Options
from app.sources.square.simulator.shop_life import ShopLife
from tests.sources.square.square_account import Account, Simulate
from tests.sources.square.square_asking import CHANGES, COUNTS, Json, document_of, every, get, post

COUNTED = ("IN_STOCK", "RESERVED_FOR_SALE", "ORDERED_FROM_VENDOR")
Spot = tuple[str, str, str]


@pytest.fixture
def account(simulate: Simulate) -> Account:
    """A shop in which goods have moved in every way."""
    account = simulate(products=30, seed=5, offline=0.5)
    account.change(80, "stock")
    return account


def changes(account: Account, **body: Any) -> list[Json]:
    """Every change that a search finds, the version's headers aside."""
    return every(account, CHANGES, body, "changes")


def added_up(rows: list[Json]) -> dict[Spot, Decimal]:
    """The counts that some changes lead to, in the order in which they were received."""
    counts: dict[Spot, Decimal] = defaultdict(Decimal)
    for row in sorted(rows, key=received):
        part = inner(row)
        amount, id_ = Decimal(part["quantity"]), part["catalog_object_id"]
        if row["type"] == "PHYSICAL_COUNT":
            counts[id_, part["location_id"], part["state"]] = amount
        else:
            counts[id_, part["from_location_id"], part["from_state"]] -= amount
            counts[id_, part["to_location_id"], part["to_state"]] += amount
    return {spot: amount for spot, amount in counts.items() if spot[2] in COUNTED}


def received(row: Json) -> datetime:
    """When a change became known."""
    return datetime.fromisoformat(inner(row)["created_at"])


def inner(row: Json) -> Json:
    """What is told of a change."""
    result: Json = row[row["type"].lower()]
    return result


def test_the_changes_add_up_to_the_counts(account: Account) -> None:
    rows = every(account, COUNTS, {}, "counts")
    counts = {(row["catalog_object_id"], row["location_id"], row["state"]): Decimal(row["quantity"]) for row in rows}
    assert added_up(changes(account)) == counts


def test_changes_come_oldest_first_through_all_pages(account: Account) -> None:
    times = [datetime.fromisoformat(inner(row)["occurred_at"]) for row in changes(account, limit=11)]
    assert (times, len(times)) == (sorted(times), len(changes(account)))


def test_changes_come_newest_first_where_asked(account: Account) -> None:
    rows = changes(account, sort={"field": "OCCURRED_AT", "order": "DESC"}, limit=13)
    assert rows == list(reversed(changes(account)))


def test_a_page_of_changes_holds_a_hundred_unless_asked(account: Account) -> None:
    assert len(document_of(post(account, CHANGES))["changes"]) == 100


def test_changes_of_one_variation_come_newest_first(account: Account) -> None:
    id_ = next(inner(row)["catalog_object_id"] for row in reversed(changes(account)))
    rows = document_of(get(account, f"/v2/inventory/{id_}/changes"))["changes"]
    assert rows == list(reversed(changes(account, catalog_object_ids=[id_])))


def test_changes_of_one_variation_can_be_had_for_one_location(account: Account) -> None:
    row = next(row for row in changes(account) if row["type"] == "PHYSICAL_COUNT")
    id_, place = inner(row)["catalog_object_id"], inner(row)["location_id"]
    rows = document_of(get(account, f"/v2/inventory/{id_}/changes", {"location_ids": place}))["changes"]
    assert rows
    assert all(place in inner(one).values() for one in rows)


def test_changes_are_found_by_type(account: Account) -> None:
    assert {row["type"] for row in changes(account, types=["ADJUSTMENT"])} == {"ADJUSTMENT"}


def test_adjustments_are_found_by_state(account: Account) -> None:
    rows = changes(account, types=["ADJUSTMENT"], states=["ORDERED_FROM_VENDOR"])
    assert rows
    assert all("ORDERED_FROM_VENDOR" in (inner(row)["from_state"], inner(row)["to_state"]) for row in rows)


def test_adjustments_are_found_by_reason(account: Account) -> None:
    rows = changes(account, types=["ADJUSTMENT"], reason_ids=[{"type": "SALE"}])
    assert {inner(row)["reason_id"]["type"] for row in rows} == {"SALE"}


def test_changes_are_found_by_when_they_were_received(account: Account) -> None:
    all_rows = changes(account)
    middle = sorted(map(received, all_rows))[len(all_rows) // 2].isoformat()
    early, late = changes(account, updated_before=middle), changes(account, updated_after=middle)
    assert len(early) + len(late) == len(all_rows) - 1  # both ends are exclusive


def test_what_was_sold_offline_occurred_before_it_was_received(account: Account) -> None:
    parts = [inner(row) for row in changes(account, types=["ADJUSTMENT"], reason_ids=[{"type": "SALE"}])]
    assert any(part["occurred_at"] < part["created_at"] for part in parts)


def test_only_what_was_sold_has_a_price(account: Account) -> None:
    parts = [inner(row) for row in changes(account, types=["ADJUSTMENT"])]
    assert {part["to_state"] == "SOLD" for part in parts if "total_price_money" in part} == {True}


@pytest.mark.parametrize("kind", ["adjustment", "physical_count"])
def test_one_change_is_found_by_its_id(account: Account, kind: str) -> None:
    row = changes(account, types=[kind.upper()])[-1]
    path = f"/v2/inventory/{kind.replace('_', '-')}s/{row[kind]['id']}"
    assert list(document_of(get(account, path)).values()) == [row[kind]]


def test_an_older_version_shows_one_location_of_an_adjustment(account: Account) -> None:
    row = document_of(post(account, CHANGES, {"types": ["ADJUSTMENT"]}, square_version="2025-08-20"))["changes"][0]
    assert ("location_id" in row["adjustment"], "to_location_id" in row["adjustment"]) == (True, False)


def test_an_older_version_has_transfers(account: Account) -> None:
    account.change(1, "transfer")
    row = document_of(post(account, CHANGES, {"types": ["TRANSFER"]}, square_version="2025-08-20"))["changes"][-1]
    assert {"from_location_id", "to_location_id", "state"} <= row["transfer"].keys()


def test_transfers_are_no_type_of_their_own_any_more(account: Account) -> None:
    assert post(account, CHANGES, {"types": ["TRANSFER"]}).status_code == 400


def test_the_log_outlives_a_restart(tmp_path: Path) -> None:
    options = read({"state_file": str(tmp_path / "shop"), "products": 10}, Options)
    world = opened(options)
    world.on_change = lambda: None
    ShopLife(world).happen(5, ["receipt"])
    keeper_of(world).save()
    assert opened(options).counts.moves == world.counts.moves != []


def test_a_page_of_a_huge_account_costs_only_itself(simulate: Simulate) -> None:
    account = simulate(products=280_000, orders=0)
    body = {"limit": 1000, "sort": {"order": "DESC"}}
    first = document_of(post(account, CHANGES, body))
    second = document_of(post(account, CHANGES, {**body, "cursor": first["cursor"]}))
    numbers = [account.world.catalog.place_of(inner(row)["catalog_object_id"], "VAR") for row in second["changes"]]
    assert (len(numbers), numbers) == (1000, sorted(numbers, reverse=True))
