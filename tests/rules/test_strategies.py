"""What a strategy reads, as its options narrow it."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain import Kind, Options, Strategy
from app.rules.runs.strategies import stages

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize("strategy", [Strategy.ORDERS, Strategy.DAILY])
def test_orders_since_a_moment_are_read_from_that_moment_on_and_not_from_a_week_ago(strategy: Strategy) -> None:
    since = NOW - timedelta(days=90)
    (stage,) = stages(strategy, Options(modified_since=since), [Kind.ORDER], NOW)
    assert stage.since == since


def test_orders_are_read_of_a_week_where_nobody_says_since_when() -> None:
    (stage,) = stages(Strategy.ORDERS, Options(), [Kind.ORDER], NOW)
    assert stage.since == NOW - timedelta(days=7)
