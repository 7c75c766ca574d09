"""Fingerprints: what is one cause, what is another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import errors
from app.rules.letters.advice import _BY_TYPE, advice
from app.rules.letters.fingerprint import fingerprint, normalised, place_of

ONE_CAUSE = [
    ("GET /acme/api/product/BP2905: 429 too many", "GET /acme/api/product/RT0117: 429 too many"),
    ("GET /acme/api/product/: a login page", "GET /acme/api/order/7: a login page"),
    ("item 'A b' is odd", "item 'C d' is odd"),
    ("row 5: price 12.50 at 2026-11-22T08:00:00Z", "row 17: price 3 at 2026-11-23T09:12:00Z"),
    ("no object W62UWFY35CWMYGVWK6TWJDNI", "no object 7SB3ZQYJ5GDMVFL7JK46JCHT"),
    ("id 6f1c2a4e-9d1b-4a55-8c3e-0a1b2c3d4e5f", "id 11111111-2222-3333-4444-555555555555"),
]
TWO_CAUSES = [
    ("GET /x: 429 too many", "GET /x: 404 not found"),
    ("GET /x: 503 ", "GET /x: 500 "),
    ("price: expected a number", "quantity: expected a number"),
]


@pytest.mark.parametrize(("one", "other"), ONE_CAUSE)
def test_what_differs_in_ids_and_numbers_is_one_cause(one: str, other: str) -> None:
    assert fingerprint("X", one, "here") == fingerprint("X", other, "here")


@pytest.mark.parametrize(("one", "other"), TWO_CAUSES)
def test_what_differs_in_words_or_status_is_two(one: str, other: str) -> None:
    assert fingerprint("X", one, "here") != fingerprint("X", other, "here")


def test_another_place_is_another_cause() -> None:
    assert fingerprint("X", "no", "app/a.py:f") != fingerprint("X", "no", "app/b.py:f")


def test_another_connection_is_another_cause() -> None:
    names = {fingerprint("X", "no", "here", connection) for connection in ("shop", "shop-eu", None)}
    assert len(names) == 3


def test_a_cause_of_one_connection_is_the_same_for_all_its_items() -> None:
    assert fingerprint("X", "GET /x/1: 401 no", "here", "shop") == fingerprint(
        "X", "GET /x/2: 401 no", "here", "shop"
    )


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_number_never_matters(one: int, other: int) -> None:
    assert fingerprint("X", f"row {one} is odd", "") == fingerprint("X", f"row {other} is odd", "")


@given(st.text(max_size=40))
def test_what_is_normalised_stays_as_it_is(message: str) -> None:
    assert normalised(normalised(message)) == normalised(message)


def test_the_place_is_our_innermost_function() -> None:
    with pytest.raises(AttributeError) as raised:
        normalised(None)  # type: ignore[arg-type]
    assert place_of(raised.value) == "app/rules/letters/fingerprint.py:normalised"


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert place_of(ValueError()) == ""


def test_every_error_of_ours_has_advice() -> None:
    ours = {
        name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.TallyhookError)
    }
    branches = {"TallyhookError", "Transient", "Permanent"}
    of_callers = {"Busy", "Conflict", "InvalidRequest", "InvalidOptions", "TakesTooLong"}
    assert ours - branches - of_callers <= set(_BY_TYPE)


def test_advice_speaks_of_errors_there_are() -> None:
    assert set(_BY_TYPE) - {"LookupError"} <= set(vars(errors))


@pytest.mark.parametrize(("error_type", "word"), [("KeyError", "traceback"), ("OperationalError", "database")])
def test_what_is_no_error_of_ours_has_advice_too(error_type: str, word: str) -> None:
    assert word in advice(error_type)
