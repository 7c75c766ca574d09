"""What usually happens in a shop: it is learned slowly, and only rules that count go by it."""

import pytest

from app.rules.guard.findings import Finding, Trait
from app.rules.guard.usual import unusual, usual_of

BUSY = {"zeroed": 30, "repriced": 200}


def findings_of(rule: str, rows: int, measure: str) -> list[Finding]:
    return list(unusual([None, Finding(rule, "would", Trait.ZEROED, {"rows": rows}, measure)], BUSY))


def test_the_median_of_two_weeks_is_usual() -> None:
    assert usual_of([{"zeroed": number} for number in range(13)] + [{"zeroed": 9_999}]) == {"zeroed": 7}


def test_before_two_weeks_nothing_is_usual() -> None:
    assert usual_of([{"zeroed": 30}] * 13) == {}


def test_a_day_on_which_nothing_happened_counts() -> None:
    assert usual_of([{"zeroed": 30}, {}, {}] * 5) == {"zeroed": 0}


def test_twice_the_usual_number_is_believed_where_a_rule_only_counts() -> None:
    assert findings_of("zeroed", 60, "zeroed") == []


def test_more_is_shown_with_what_is_usual() -> None:
    (finding,) = findings_of("zeroed", 61, "zeroed")
    assert (finding.reason, finding.figures) == ("would; usually 30 a day", {"rows": 61, "usually a day": 30})


@pytest.mark.parametrize("rule", ["powers of ten", "price jump", "rate of exchange"])
def test_a_disaster_that_is_known_by_its_looks_is_held_however_much_is_usual(rule: str) -> None:
    (finding,) = findings_of(rule, 24, "repriced")
    assert finding.figures["usually a day"] == 200


def test_where_nothing_is_known_nothing_is_shown() -> None:
    assert [one.figures for one in findings_of("currency", 24, "")] == [{"rows": 24}]
