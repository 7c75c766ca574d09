"""The filter grammar: what it reads, what it refuses, and that a spelled filter is read back."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.filters import FilterError, Term, choice_of, moment_of, parse, spelled

KEYS = ("connection", "cause", "item", "since", "state")
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()),
        ("   ", ()),
        ("state:dead", (Term("state", ("dead",)),)),
        ("STATE:dead", (Term("state", ("dead",)),)),
        ("-state:dead", (Term("state", ("dead",), negated=True),)),
        ("state:dead,replayed", (Term("state", ("dead", "replayed")),)),
        ('item:"a b, c:d"', (Term("item", ("a b, c:d",)),)),
        (r'item:"say \"hi\""', (Term("item", ('say "hi"',)),)),
        ("since:2026-11-22T08:00", (Term("since", ("2026-11-22T08:00",)),)),
        (" connection:shop  cause:RateLimited ", (Term("connection", ("shop",)), Term("cause", ("RateLimited",)))),
    ],
)
def test_a_filter_is_read(text: str, terms: tuple[Term, ...]) -> None:
    assert parse(text, KEYS) == terms


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stat:dead", "did you mean 'state'?"),
        ("conection:x", "did you mean 'connection'?"),
        ("zzz:1", "use one of: connection, cause, item, since, state"),
        ("dead", "right would be key:value"),
        ("state:", "right would be key:value"),
        ("state:dead,", "a value is missing"),
        ('item:"open', "right would be key:value"),
        ('item:a"b"', "a comma is missing"),
        ("item:" + "x" * 3000, "at most 2000 characters"),
        ("item:" + ",".join("x" * 101), "at most 100 values; here are 101"),
        ("item:x " * 21, "at most 20 terms"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_would_be_right(text: str, told: str) -> None:
    with pytest.raises(FilterError, match=told.replace("?", r"\?")):
        parse(text, KEYS)


@given(
    st.lists(
        st.builds(
            Term,
            st.sampled_from(KEYS),
            st.lists(st.text(max_size=8), min_size=1, max_size=3).map(tuple),
            st.booleans(),
        ),
        max_size=4,
    ).map(tuple)
)
def test_a_spelled_filter_is_read_back_as_the_same(terms: tuple[Term, ...]) -> None:
    assert parse(spelled(terms), KEYS) == terms


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    with suppress(FilterError):
        parse(text, KEYS)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", datetime(2026, 11, 25, 10, tzinfo=UTC)),
        ("90s", datetime(2026, 11, 25, 11, 58, 30, tzinfo=UTC)),
        ("1w", datetime(2026, 11, 18, 12, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T08:00+02:00", datetime(2026, 11, 22, 6, tzinfo=UTC)),
    ],
)
def test_a_moment_is_so_long_ago_or_a_date(text: str, moment: datetime) -> None:
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "", "2y", "0000-01-01", "999999w", "0001-01-01T00:00+14:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(FilterError, match="is not a moment"):
        moment_of(text, NOW)


def test_a_wrong_choice_is_answered_with_the_nearest() -> None:
    with pytest.raises(FilterError, match=r"did you mean 'replayed'\?"):
        choice_of("state", "replay", ("dead", "replayed"))
