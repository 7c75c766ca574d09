"""What no database can hold is replaced, wherever an answer is cut, and everything else stays as it came."""

import io
import json

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.sources.base import Context, Unlimited
from app.sources.http import Http
from app.sources.texts import DEEPEST, TOO_DEEP, clean, cleaned, repaired, shallow

REPLACED = "\N{REPLACEMENT CHARACTER}"
TEXTS = st.lists(st.text(st.sampled_from(['"', "\\", "\0", "u", "0", "d", "é", "😀", "\ud83d", "\udc00", ",", "a"])))


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (rb'"\u0000"', f'"{REPLACED}"'),
        (rb'"\ud83d"', f'"{REPLACED}"'),
        (rb'"\uDC00"', f'"{REPLACED}"'),
        (rb'"\ud83d\ud83d\ude00"', rf'"{REPLACED}\ud83d\ude00"'),
        (rb'"\ud83d\ude00"', r'"\ud83d\ude00"'),
        (rb'"\\u0000"', r'"\\u0000"'),
        (rb'"\\\u0000"', rf'"\\{REPLACED}"'),
        (b'"\xff"', f'"{REPLACED}"'),
        (b'"\xc3"', f'"{REPLACED}"'),
        (b'"\x00"', f'"{REPLACED}"'),
        ('"é😀"'.encode(), '"é😀"'),
    ],
)
def test_what_cannot_be_stored_is_replaced_and_nothing_else(body: bytes, wanted: str) -> None:
    assert clean(body) == wanted.encode()


def test_a_clean_body_is_not_copied() -> None:
    body = '{"name": "Tee \\u00e9 \\ud83d\\ude00 😀"}'.encode()
    assert clean(body) is body


@settings(deadline=None)
@given(TEXTS)
def test_a_cleaned_document_says_the_same_but_for_what_no_text_may_hold(texts: list[str]) -> None:
    wanted = [
        text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", REPLACED) for text in texts
    ]
    assert json.loads(clean(json.dumps(texts).encode())) == wanted


@settings(deadline=None)
@given(TEXTS, st.booleans(), st.integers(1, 9))
def test_it_does_not_matter_where_a_body_is_cut(texts: list[str], escaped: bool, size: int) -> None:
    body = json.dumps(texts, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    assert b"".join(cleaned(body[at : at + size] for at in range(0, len(body), size))) == clean(body)


def test_bare_numbers_that_are_none_become_texts() -> None:
    assert json.loads(repaired(b'[NaN, -Infinity, "NaN", "a\\"NaN", 1]')) == ["NaN", "-Infinity", "NaN", 'a"NaN', 1]


@pytest.mark.parametrize("number", [b"1" + b"0" * 5000, b"-0." + b"1" * 5000, b"1" * 4301 + b"e5"])
def test_a_number_longer_than_anybody_reads_becomes_a_text(number: bytes) -> None:
    assert json.loads(repaired(b'[%b, 2, "%b"]' % (number, number))) == [number.decode(), 2, number.decode()]


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize("streamed", [False, True])
def test_every_answer_is_cleaned_before_it_is_given_away(coding: str, streamed: bool) -> None:
    import gzip

    body = rb'{"a":"\u0000"}'
    content = gzip.compress(body) if coding == "gzip" else body
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, content=content, headers={"content-encoding": coding})
    )
    http = Http(Context("shop", Unlimited(), transport=lambda: transport), "http://shop.test", {})
    into = io.BytesIO()
    answer = http.request("GET", "/", into=into if streamed else None)
    assert json.loads(into.getvalue() if streamed else answer.content) == {"a": REPLACED}


def test_what_is_nested_too_deep_becomes_a_text_that_says_so() -> None:
    body = b'{"a": [' + b"[" * 5_000 + b'"]", {"b": "[\\"["}' + b"]" * 5_000 + b', 7], "c": "[[["}'
    result = json.loads(shallow(body))
    here = result["a"][0]
    depth = 3  # of what stands in it
    while isinstance(here, list):
        here, depth = here[0], depth + 1
    assert (here, depth, result["a"][1], result["c"]) == (TOO_DEEP, DEEPEST + 1, 7, "[[[")


@given(st.recursive(st.none() | st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each)))
def test_what_is_not_nested_deep_stays_as_it_came(value: object) -> None:
    body = json.dumps(value).encode()
    assert shallow(body) is body


def test_a_document_that_is_cut_short_does_not_become_a_whole_one() -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(shallow(b"[" * 5_000))
