"""The guard asks orders whether a sale explains a fall; lines that nobody can read explain none, and harm nobody."""

import pytest

from app.stores.guard.stock import _lines_of


@pytest.mark.parametrize("text", ["", None, "\x01", "{", '"no list"', '[{"quantity": "many"}]', "[null]"])
def test_lines_that_cannot_be_read_are_none(text: str | None) -> None:
    assert _lines_of(text) == []


def test_a_quantity_is_read_however_it_is_written() -> None:
    (line,) = _lines_of('[{"listing_id": "P1", "quantity": "2.5", "note": "x"}]')
    assert (line.listing_id, line.quantity) == ("P1", 2.5)
