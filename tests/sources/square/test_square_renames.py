"""What items mention is followed: a delta tells of every object that changed by which listings are told."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain import Kind, Mentioned, Page
from tests.sources.square.square_stub import SEARCH, item, stub, variation

SINCE = "2026-05-01T00:00:00Z"

ROWS: dict[str, Any] = {
    "C1": {"type": "CATEGORY", "id": "C1", "category_data": {"name": "Bath"}},
    "P1": {"type": "IMAGE", "id": "P1", "image_data": {"url": "https://x.example/2.jpg"}},
    "T1": {"type": "TAX", "id": "T1", "tax_data": {"name": "Tax"}},
    "U1": {"type": "MEASUREMENT_UNIT", "id": "U1", "measurement_unit_data": {"precision": 1}},
    "M1": {"type": "MODIFIER_LIST", "id": "M1", "modifier_list_data": {"name": "Milk"}},
    "O1": {"type": "ITEM_OPTION", "id": "O1", "item_option_data": {"name": "Size"}},
    "M2": {"type": "MODIFIER", "id": "MO1", "modifier_data": {"modifier_list_id": "M2"}},
    "O2": {"type": "ITEM_OPTION_VAL", "id": "OV1", "item_option_value_data": {"item_option_id": "O2"}},
}


def delta(*rows: Any) -> list[Page]:
    answer = {"objects": list(rows), "latest_time": "2026-05-02T00:00:00Z"}
    return list(stub({SEARCH: answer}).delta(Kind.PRODUCT, SINCE))


def mentioned(pages: list[Page]) -> list[Mentioned]:
    return [one for page in pages for one in page.mentioned]


@pytest.mark.parametrize("asked", list(ROWS))
def test_a_delta_names_what_changed_besides_items(asked: str) -> None:
    assert mentioned(delta({**ROWS[asked], "version": 7})) == [Mentioned(asked, 7_000)]


@pytest.mark.parametrize("asked", list(ROWS))
def test_a_deleted_object_is_named_and_is_no_deleted_listing(asked: str) -> None:
    pages = delta({**ROWS[asked], "version": 7, "is_deleted": True})
    assert (mentioned(pages), [record for page in pages for record in page.records]) == (
        [Mentioned(asked, 7_000)],
        [],
    )


def test_an_item_is_no_mention_of_itself() -> None:
    assert mentioned(delta(item("I1", variation("V1")), variation("V1"))) == []


def test_an_object_that_cannot_be_read_harms_no_other() -> None:
    odd = [{"type": "TAX"}, {"type": "TAX", "id": 7}, {"type": "IMAGE", "id": "P9", "version": "x"}]
    assert Mentioned("C1", 0) in mentioned(delta(*odd, ROWS["C1"]))


def test_a_window_names_what_changed_too() -> None:
    answer = {"objects": [{**ROWS["C1"], "version": 7, "updated_at": "2026-05-01T12:00:00Z"}]}
    since = datetime(2026, 5, 1, tzinfo=UTC)
    assert mentioned(list(stub({SEARCH: answer}).window(Kind.PRODUCT, since, None))) == [Mentioned("C1", 7_000)]


def test_a_full_read_names_nothing() -> None:
    answer = {"objects": [item("I1", variation("V1")), ROWS["C1"]]}
    assert mentioned(list(stub({SEARCH: answer}).full(Kind.PRODUCT))) == []
