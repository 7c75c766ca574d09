"""The rules of column-major documents, as a table and for any document."""

import gc
import json
import tempfile
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.collector import collector_paused
from app.errors import BadAnswer, Unmappable
from app.sources.finale.columnar import Band, bands, single


def read(document: bytes, rows: int = 3) -> list[Band]:
    with tempfile.TemporaryFile() as file:
        file.write(document)
        file.flush()
        return bands(file, "url", rows)


def records(document: Any, rows: int = 3) -> list[dict[str, Any]]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return [record for band in read(body, rows) for record in band.records()]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, []),
        ({"url": [], "a": []}, []),
        ({"url": None}, []),
        ({"a": []}, []),
        ({"url": ["x"], "a": [1]}, [{"url": "x", "a": 1}]),
        ({"url": ["x", "y"], "a": [None, 2]}, [{"url": "x", "a": None}, {"url": "y", "a": 2}]),
        ({"url": ["x", "y"], "a": []}, [{"url": "x"}, {"url": "y"}]),
        ({"url": ["x", "y"], "a": [1]}, [{"url": "x", "a": 1}, {"url": "y", "a": None}]),
        ({"url": ["x", "y"], "a": None}, [{"url": "x"}, {"url": "y"}]),
        ({"url": ["x"], "a": [[{"b": [1, 2]}]]}, [{"url": "x", "a": [{"b": [1, 2]}]}]),
        ({"url": ["x", "x", "x", "x"]}, [{"url": "x"}] * 4),
    ],
)
def test_a_document_is_read_column_by_column(document: Any, expected: Any) -> None:
    assert records(document) == expected


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "empty body"),
        (b"[]", "not a complete JSON object"),
        (b'{"url":["x"', "not a complete JSON object"),
        (b'{"url":["x"]}}', "not a complete JSON object"),
        (b'{"url":"x"}', "'url' is no array"),
        (b'{"url":["x"],"a":1}', "'a' is no array"),
        (b'{"url":["x"],"a":[1,2]}', "'a' has 2 cells for 1 records"),
        (b'{"url":[],"a":[1]}', "'a' has 1 cells for 0 records"),
        (b'{"a":[1]}', "no column 'url' in an answer that has a"),
        (b'{"url":' + b"[" * 200_000, "not a complete JSON object"),
    ],
)
def test_what_is_no_such_document_is_a_bad_answer(document: bytes, message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        read(document)


CELLS = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
ROWS = st.lists(st.dictionaries(st.sampled_from(["a", "b", 'q"c']), CELLS), max_size=12)


def columnised(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = sorted({name for row in rows for name in row})
    return {"url": [str(index) for index in range(len(rows))], **{n: [row.get(n) for row in rows] for n in names}}


@given(ROWS, st.integers(1, 5), st.sampled_from([None, 1]))
def test_any_document_gives_its_rows_back(rows: list[dict[str, Any]], size: int, indent: int | None) -> None:
    document = json.dumps(columnised(rows), indent=indent).encode()
    result = records(document, size)
    wanted = [{"url": str(index), **row} for index, row in enumerate(rows)]
    assert [_without_empty(row) for row in result] == [_without_empty(row) for row in wanted]


@given(ROWS, st.integers(1, 5))
def test_nothing_said_is_missing_from_the_leftovers(rows: list[dict[str, Any]], size: int) -> None:
    document = json.dumps(columnised(rows), indent=1).encode()
    texts = [text for band in read(document, size) for text in band.leftovers({"url"}, {})]
    assert [json.loads(text or "{}") for text in texts] == [_without_empty(row) for row in rows]


@given(st.dictionaries(st.sampled_from("abcd"), CELLS))
def test_a_single_record_has_the_leftovers_of_its_list(row: dict[str, Any]) -> None:
    listed = read(json.dumps(columnised([row]), indent=2).encode())[0]
    alone = single(json.dumps({"url": "0", **dict(reversed(row.items()))}).encode())
    assert alone.leftovers(frozenset(), {}) == listed.leftovers(frozenset(), {})


def _without_empty(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in row.items() if value not in (None, "", [], {}) or value is False or value == 0
    }


def test_numbers_with_a_fraction_are_exact() -> None:
    assert read(b'{"url":["x"],"a":[0.1]}')[0].column("a", Decimal | None) == [Decimal("0.1")]


def test_a_blank_number_is_null() -> None:
    assert read(b'{"url":["x","y"],"a":["",2]}')[0].column("a", Decimal | None) == [None, Decimal(2)]


def test_a_cell_of_another_type_names_its_column() -> None:
    with pytest.raises(Unmappable, match=r'a is \{"b":1\}, expected a text'):
        read(b'{"url":["x"],"a":[{"b":1}]}')[0].column("a", str | None)


def test_a_silent_value_is_left_out_and_another_one_is_not() -> None:
    band = read(b'{"url":["x","y"],"s":["ON","ODD"]}')[0]
    assert band.leftovers({"url"}, {"s": {b'"ON"'}}) == [None, '{"s":"ODD"}']


def test_texts_are_compact_and_empty_ones_null() -> None:
    band = read(b'{"url":["x","y","z"],"a":[ [ {"b" : 1} ], [], null]}')[0]
    assert band.texts("a") == ['[{"b":1}]', None, None]


def test_a_long_document_comes_in_bands() -> None:
    document = json.dumps({"url": [str(index) for index in range(10)]}).encode()
    assert [band.rows for band in read(document, rows=4)] == [4, 4, 2]


def test_the_collector_rests_only_meanwhile() -> None:
    with collector_paused():
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
