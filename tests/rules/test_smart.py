"""What smart says of its choice is true, also where nothing is known and where others are worth the same."""

from datetime import date

import pytest

from app.domain import Kind, Options, Strategy
from app.rules.runs.smart import Facts, choose, is_a_price

DAILY = dict.fromkeys(Kind, 1 / 86_400)
KINDS = tuple(Kind)


def test_where_nothing_was_ever_read_smart_reads_everything_and_says_why() -> None:
    choice = choose(Facts({}, DAILY, {}), KINDS)
    assert choice.strategy is Strategy.FULL
    assert choice.reason == f"full: no run has read anything yet; it takes at least {len(KINDS)} calls"


def test_a_kind_that_was_never_read_is_said_never_to_have_been_read() -> None:
    age: dict[Kind, float] = {kind: 60.0 for kind in KINDS if kind is not Kind.VENDOR}
    choice = choose(Facts(age, DAILY, {}), KINDS)
    assert choice.strategy is Strategy.VENDORS
    assert "vendor never" in choice.reason


def test_at_a_tie_smart_does_not_claim_to_beat_every_other() -> None:
    age = dict.fromkeys(KINDS, 86_400.0)
    reason = choose(Facts(age, DAILY, {}), KINDS).reason
    assert "more than any other" not in reason
    assert "as much as" in reason


def test_the_best_alone_is_said_to_be_the_best() -> None:
    age = dict.fromkeys(KINDS, 60.0) | {Kind.STOCK: 86_400.0}
    choice = choose(Facts(age, DAILY, {}), KINDS)
    assert choice.strategy is Strategy.INVENTORY
    assert "more than any other strategy" in choice.reason


def test_of_strategies_that_are_nearly_worth_the_same_the_cheapest_is_chosen() -> None:
    """A run reads its kinds one after the other: seconds between them are no difference."""
    age = {kind: 86_400.0 - number for number, kind in enumerate(KINDS)}
    calls = dict.fromkeys((Strategy.INVENTORY, Strategy.VENDORS), 1.0) | {Strategy.FULL: 6.0, Strategy.CATALOG: 1.0}
    choice = choose(Facts(age, DAILY, calls), KINDS)
    assert choice.strategy not in (Strategy.FULL, Strategy.INCREMENTAL)
    assert "as much as" in choice.reason


def test_calls_of_a_strategy_that_never_ran_are_said_to_be_a_least_number() -> None:
    age = dict.fromkeys(KINDS, 60.0) | {Kind.STOCK: 86_400.0}
    assert "for at least 1 call," in choose(Facts(age, DAILY, {}), KINDS).reason


def test_calls_of_a_strategy_that_ran_are_said_to_be_about_so_many() -> None:
    age = dict.fromkeys(KINDS, 60.0) | {Kind.STOCK: 86_400.0}
    reason = choose(Facts(age, DAILY, {Strategy.INVENTORY: 3.0}), KINDS).reason
    assert "for about 3 calls," in reason


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        (Strategy.FULL, Options(deep=True)),
        (Strategy.CATALOG, Options(limit=5)),
        (Strategy.ORDERS, Options(first=date(2026, 1, 1))),
        (Strategy.CRITICAL, Options()),
    ],
    ids=str,
)
def test_a_run_that_takes_other_calls_than_its_strategy_by_itself_is_no_price_of_it(
    strategy: Strategy, options: Options
) -> None:
    assert not is_a_price(strategy, options)
