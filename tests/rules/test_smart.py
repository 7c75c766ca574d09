"""What smart says of its choice is true, also where nothing is known and where others are worth the same."""

from __future__ import annotations

from app.domain import Kind, Strategy
from app.rules.smart import Facts, choose

DAILY = dict.fromkeys(Kind, 1 / 86_400)
KINDS = tuple(Kind)


def test_where_nothing_was_ever_read_smart_reads_everything_and_says_why() -> None:
    choice = choose(Facts({}, DAILY, {}), KINDS)
    assert choice.strategy is Strategy.FULL
    assert choice.reason == f"full: nothing was read yet; it takes at least {len(KINDS)} calls"


def test_a_kind_that_was_never_read_is_said_never_to_have_been_read() -> None:
    age = {kind: 60.0 for kind in KINDS if kind is not Kind.VENDOR}
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
