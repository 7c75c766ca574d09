"""A preview reads like a sentence."""

from typing import Any

import pytest

from app.rules.letters.summing import Row, summed

NEW: dict[str, Any] = {"deleted": [None, False], "location_id": [None, "LDC2"], "quantity": [None, "4"]}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([Row("product", "missing", NEW)] * 32, "32 new products"),
        ([Row("category", "missing", NEW)] * 2, "2 new categories"),
        ([Row("stock", "missing", NEW)], "1 new stock row"),
        ([Row("order", "vanished", {"deleted": [False, True]})] * 2, "2 orders deleted"),
        ([Row("stock", "differs", {"quantity": ["4", "0"]})] * 3, "quantity 4 to 0 on 3 items"),
        (
            [Row("product", "missing", NEW), Row("stock", "differs", {"quantity": ["4", "0"]})],
            "1 new product; quantity 4 to 0 on 1 item",
        ),
        ([], "nothing to preview"),
    ],
)
def test_a_preview_reads_like_a_sentence(rows: list[Row], said: str) -> None:
    assert summed(rows, []) == said


def test_ids_that_names_come_from_are_not_shown() -> None:
    fields = {"category": ["Bath", "Bathroom"], "mentions": ['["C1"]', '["C2"]']}
    assert summed([Row("product", "differs", fields)], []) == "category Bath to Bathroom on 1 item"
