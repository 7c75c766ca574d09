"""Many differing records lie on disk and come back as they were."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.domain import Kind, Listing, Record, StockCount, row_hash
from app.stores.catalog import spool
from app.stores.catalog.spool import Spool

NEAR, FAR = 0, spool.IN_MEMORY + 1


def listing(number: int, name: str = "bowl") -> Listing:
    return Listing(
        f"p{number}", name=name, price_minor=number, reorder_point=Decimal("0.5"), extra="❄", version=2**62,
        modified_at=datetime(2026, 11, 20, 12, 0, 0, 250, UTC),
    )  # fmt: skip


def filled(rows: int = spool.IN_MEMORY + 3) -> Spool:
    kept = Spool(Kind.PRODUCT)
    for number in range(rows):
        kept.add(f"p{number}", listing(number), number)
    return kept


@pytest.mark.parametrize("place", [NEAR, FAR])
def test_a_record_comes_back_as_it_was(place: int) -> None:
    assert filled()[place] == listing(place)


@pytest.mark.parametrize("place", [NEAR, FAR])
def test_a_row_is_the_records_fields(place: int) -> None:
    assert Listing(*filled().row(place)) == listing(place)


@pytest.mark.parametrize("place", [NEAR, FAR])
def test_a_replaced_record_is_the_newer_one(place: int) -> None:
    kept = filled()
    kept.replace(place, listing(place, "cup"), 7)
    assert (kept[place], kept.hashes[place]) == (listing(place, "cup"), 7)


def test_records_can_be_added_after_others_were_read() -> None:
    kept = filled()
    first = kept[FAR]
    kept.add("late", listing(99, "late"), 0)
    assert (first, kept[-1]) == (listing(FAR), listing(99, "late"))


def test_a_spool_is_walked_in_the_order_of_adding() -> None:
    kept = filled()
    assert [record.external_id for record in kept] == kept.keys  # type: ignore[union-attr]


def test_a_slice_is_a_list_across_memory_and_disk() -> None:
    around = slice(spool.IN_MEMORY - 1, spool.IN_MEMORY + 1)
    assert filled()[around] == [listing(spool.IN_MEMORY - 1), listing(spool.IN_MEMORY)]


def test_there_is_nothing_beyond_the_end() -> None:
    with pytest.raises(IndexError):
        filled(1)[1]


def test_a_quantity_keeps_its_hash_on_disk() -> None:
    kept = Spool(Kind.STOCK)
    records: list[Record] = [
        StockCount("a", str(number), "on_hand", Decimal("1.50000").normalize()) for number in range(FAR + 1)
    ]
    for record in records:
        kept.add("key", record, 0)
    assert row_hash(kept[FAR]) == row_hash(records[FAR])
