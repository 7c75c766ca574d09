"""Redaction: no spelling of a secret is left in a text, and nothing else is taken out."""

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.access.redaction import REMOVED, SHORTEST, carries_secret, redactor, safe_headers

SECRET = 's3cr&t/key+with "all" <sorts> of ümlaut='


def left_of(text: str) -> str:
    return redactor([SECRET])(text)


@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        quote(SECRET),
        quote_plus(SECRET),
        quote(quote(SECRET, safe=""), safe=""),
        quote(quote(quote(SECRET)).lower()),
        json.dumps({"key": SECRET})[9:-2],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        html.escape(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_taken_out_however_it_is_spelled(spelled: str) -> None:
    assert left_of(f"the vendor said: <{spelled}>!") == f"the vendor said: <{REMOVED}>!"


@given(st.text(max_size=20), st.text(max_size=20))
def test_base64_of_a_text_with_a_secret_in_it_gives_back_at_most_its_edges(before: str, after: str) -> None:
    whole = f"{before}{SECRET}{after}".encode()
    left = left_of(base64.b64encode(whole).decode())
    assert REMOVED in left
    inner = SECRET.encode()[2:-2]
    for part in left.split(REMOVED):
        for shift in range(4):
            padded = part[shift : shift + (len(part) - shift) // 4 * 4]
            assert inner[:8] not in base64.b64decode(padded)


@pytest.mark.parametrize("end", ["'", '"', "… (9,000 bytes in all)", "", "\\\\'", "</html>"])
def test_a_secret_that_a_quotation_ends_in_is_taken_out(end: str) -> None:
    redact = redactor(["EAAAl-0123456789"])
    assert redact(f"it says 'EAAAl-0123{end}") == f"it says '{REMOVED}{end}"


def test_most_of_a_secret_is_taken_out_wherever_it_breaks_off() -> None:
    redact = redactor(["EAAAl-0123456789", "EAAAl-0177"])
    assert redact("EAAAl-0123456 is not it, EAAAl-01234567") == f"{REMOVED} is not it, {REMOVED}"


def test_a_word_that_only_begins_like_a_secret_is_left() -> None:
    redact = redactor(["EAAAl-0123456789"])
    assert redact("'EAAAl-01 and so on'") == "'EAAAl-01 and so on'"


def test_texts_without_secrets_are_left_as_they_are() -> None:
    text = "GET /v2/orders: 503 Service Unavailable, c2VjcmV0 %2Fnothing"
    assert left_of(text) == text


def test_a_secret_too_short_to_be_one_takes_no_words_out_of_texts() -> None:
    assert redactor(["key"[:SHORTEST], ""])("the key is refused") == "the key is refused"


def test_the_longer_of_two_secrets_is_taken_out_whole() -> None:
    assert redactor(["abcdefgh", "abcdefghijkl"])("abcdefghijkl") == REMOVED


def test_headers_that_carry_secrets_keep_their_names_alone() -> None:
    headers = {"Authorization": "Basic abc", "X-Api-Key": "k", "Set-Cookie": "c", "Content-Type": "text/html"}
    assert safe_headers(headers) == {
        **dict.fromkeys(("authorization", "x-api-key", "set-cookie"), REMOVED),
        "content-type": "text/html",
    }


@pytest.mark.parametrize(
    "name",
    [
        "x-jwt",
        "X-Session-Id",
        "x-passwd",
        "x-api-key",
        "Proxy-Authorization",
        "x-auth",
        "set-cookie",
        "x-bearer",
        "X-Secret",
    ],
)
def test_a_header_that_may_open_something_is_not_kept(name: str) -> None:
    assert carries_secret(name)
