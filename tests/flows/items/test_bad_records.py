"""Bad records alone: how they are found in a batch, what is said of them, and which faults are not theirs."""

from decimal import Decimal

import pytest

from app.domain import Answer, BadRecord, Kind, Record, Scope, StockCount, item_of
from app.errors import DatabaseFault
from app.flows.items.bad_records import Healing, isolated, split_storable, sure_scopes, unread, unstorable
from tests.fakes import listing


class Cancelled(Exception):
    """What a caller wants to see again."""


def failing_items(records: list[Record], bad: set[str]) -> list[str]:
    failed: list[str] = []

    def write(some: list[Record]) -> None:
        if bad & {item_of(record) for record in some}:
            raise ValueError("one of these")

    isolated(records, write, lambda record, error: failed.append(item_of(record)))  # type: ignore[arg-type]
    return failed


ALL_BAD = {f"P{n}" for n in range(10)}


@pytest.mark.parametrize(
    "bad", [set(), {"P0"}, {"P9"}, {"P3", "P4"}, ALL_BAD], ids=["none", "first", "last", "two", "all"]
)
def test_the_bad_records_of_a_batch_are_found_and_no_others(bad: set[str]) -> None:
    assert set(failing_items([listing(f"P{n}") for n in range(10)], bad)) == bad


@pytest.mark.parametrize("error", [DatabaseFault("the connection is lost"), Cancelled()], ids=["fault", "passing"])
def test_what_concerns_no_record_is_raised(error: Exception) -> None:
    def write(some: object) -> None:
        raise error

    failed: list[object] = []
    with pytest.raises(type(error)):
        isolated([listing("A")], write, lambda record, error: failed.append(record), (Cancelled,))
    assert failed == []


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (listing("A", name="cup\x00"), r"product A cannot be stored: name is 'cup\x00'; text without NUL"),
        (listing("A", name="\ud800"), "name is '\\ud800'; text without NUL and lone surrogates was expected"),
        (listing("A", price_minor=2**63), "price_minor is 9223372036854775808; a whole number of at most 64 bits"),
        (StockCount("A", "L", "on_hand", Decimal(10) ** 15), "stock A/L/on_hand cannot be stored: quantity is 1"),
    ],
)
def test_a_record_that_cannot_be_stored_is_reported_by_its_field(record: Record, said: str) -> None:
    assert said in str(unstorable(record, ValueError("no")).error)


def test_where_no_field_is_to_blame_the_databases_own_words_are_given() -> None:
    error = ValueError("index row size 3000 exceeds maximum\nHINT: none")
    assert str(unstorable(listing("A"), error).error).endswith(
        "cannot be stored: index row size 3000 exceeds maximum"
    )


def test_a_variation_is_a_failure_of_its_item() -> None:
    assert unstorable(listing("V", parent_id="ITEM"), ValueError()).ref.external_id == "ITEM"


def test_a_record_without_an_id_is_a_failure_of_its_item() -> None:
    assert unread(BadRecord(Kind.PRODUCT, "", "no id", "ITEM")).ref.external_id == "ITEM"


def test_an_unreadable_record_leaves_its_own_scope_in_doubt_and_no_other() -> None:
    mine, other = (Scope(Kind.STOCK, "listing_id", id) for id in ("A", "B"))
    answer = Answer(covers=[mine, other], failed=[BadRecord(Kind.STOCK, "A", "no quantity")])
    assert sure_scopes(answer) == [other]


def test_an_unreadable_record_without_an_id_leaves_every_scope_in_doubt() -> None:
    answer = Answer(covers=[Scope(Kind.STOCK)], failed=[BadRecord(Kind.STOCK, "", "no id")])
    assert sure_scopes(answer) == []


def test_an_item_heals_under_the_name_of_its_variation_too() -> None:
    healing = Healing({"ITEM", "V", "OTHER"})
    healing.note([listing("V", parent_id="ITEM")])
    assert healing.healed((), complete=False) == ["ITEM", "V"]


@pytest.mark.parametrize(
    "bad",
    [
        listing("B", price_minor=2**70),
        listing("B", name="half a pair \ud800"),
        StockCount("B", "L", "on_hand", Decimal("NaN")),
    ],
)
def test_a_record_that_no_database_holds_is_parted_from_its_neighbours(bad: Record) -> None:
    good, failures = split_storable([listing("A"), bad, listing("C")])
    assert ([item_of(record) for record in good], [failure.ref.external_id for failure in failures]) == (
        ["A", "C"],
        ["B"],
    )
