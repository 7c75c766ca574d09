"""The past of counts is told back to the last certain moment, and nothing of it is invented."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from app.domain import PastChange, Spot
from app.rules.past import Held, PastRow, reckon

LOADED = datetime(2026, 3, 1, tzinfo=UTC)
SHELF, ORDERED, ELSEWHERE = Spot("L1", "on_hand"), Spot("L1", "on_order"), Spot("L2", "on_hand")
LONG_AGO = LOADED - timedelta(days=400)


def day(number: float) -> datetime:
    """So many days before the first load."""
    return LOADED - timedelta(days=number)


def by(quantity: int, days: float, spot: Spot = SHELF, *, late: float = 0.0) -> PastChange:
    return PastChange("A", spot, Decimal(quantity), False, day(days), day(days - late))


def take(quantity: int, days: float, spot: Spot = SHELF) -> PastChange:
    return by(quantity, days, spot)._replace(counted=True)


def held(quantity: int, days: float, loaded: int | None = None) -> Held:
    """A count, calculated so many days before the first load; moved since where it was ``loaded`` differently."""
    first = quantity if loaded is None else loaded
    return Held(Decimal(quantity), day(days), Decimal(first), loaded is not None)


def told(
    counts: dict[Spot, Held] | Held, *changes: PastChange, since: datetime = LONG_AGO
) -> list[tuple[float, int | None, int]]:
    """The rows: how many days before the first load, from what, to what."""
    counts = counts if isinstance(counts, dict) else {SHELF: counts}
    rows: Sequence[PastRow] = reckon(counts, changes, since=since, loaded_at=LOADED)
    return [((LOADED - row.at) / timedelta(days=1), _whole(row.before), int(row.after)) for row in rows]


def _whole(value: Decimal | None) -> int | None:
    return None if value is None else int(value)


# --- what is certain ---


def test_adjustments_are_told_back_from_what_was_loaded() -> None:
    assert told(held(7, 1), by(-2, 1), by(+4, 3)) == [(3, 5, 9), (1, 9, 7)]


def test_a_stock_take_tells_what_was_after_it_and_not_before() -> None:
    assert told(held(8, 1), take(10, 3), by(-2, 1)) == [(3, None, 10), (1, 10, 8)]


def test_before_a_second_stock_take_stands_what_the_first_one_led_to() -> None:
    assert told(held(6, 1), take(10, 5), by(-1, 4), take(6, 1)) == [(5, None, 10), (4, 10, 9), (1, 9, 6)]


def test_before_the_first_stock_take_nothing_is_told() -> None:
    assert told(held(10, 3), by(-5, 6), take(10, 3)) == [(3, None, 10)]


def test_where_one_count_is_unknown_the_others_of_its_listing_are_not_told_either() -> None:
    counts = {SHELF: held(10, 3), ELSEWHERE: held(4, 2)}
    changes = (by(-5, 6), take(10, 3), by(+1, 5, ELSEWHERE), by(+1, 2, ELSEWHERE))
    assert told(counts, *changes) == [(3, None, 10), (2, 3, 4)]


def test_a_transfer_moves_both_places() -> None:
    counts = {SHELF: held(5, 2), ELSEWHERE: held(3, 2)}
    assert told(counts, by(-3, 2), by(+3, 2, ELSEWHERE)) == [(2, 8, 5), (2, 0, 3)]


def test_changes_of_states_without_a_count_are_left_out() -> None:
    assert told(held(5, 2), by(-3, 2), by(+3, 2, Spot("L1", "sold"))) == [(2, 8, 5)]


def test_a_stock_take_that_found_what_was_there_is_no_change() -> None:
    assert told(held(10, 1), take(10, 3), take(10, 1)) == [(3, None, 10)]


def test_what_was_sold_offline_counts_from_when_it_was_sold() -> None:
    assert told(held(4, 1), by(-1, 2), by(-3, 4, late=3)) == [(4, 8, 5), (2, 5, 4)]


def test_a_count_and_its_change_may_be_stamped_a_moment_apart() -> None:
    count = held(4, 1)._replace(calculated_at=day(1) - timedelta(microseconds=1))
    assert told(count, by(-1, 1), by(-2, 2)) == [(2, 7, 5), (1, 5, 4)]


def test_nothing_is_told_of_what_occurred_before_the_record_begins() -> None:
    assert told(held(4, 1), by(-1, 1), by(-2, 9), since=day(5)) == [(1, 5, 4)]


# --- what does not add up ---


def test_changes_that_do_not_lead_to_the_count_tell_nothing() -> None:
    assert told(held(9, 1), take(10, 3), by(-2, 1)) == []


def test_one_count_that_does_not_add_up_takes_the_past_of_its_listing() -> None:
    counts = {SHELF: held(9, 1), ORDERED: held(2, 2)}
    assert told(counts, take(10, 3), by(-2, 1), by(+2, 2, ORDERED)) == []


# --- the seam to our own history ---


def test_what_we_recorded_ourselves_is_not_told_again() -> None:
    assert told(held(5, -2, loaded=8), by(-2, 3), by(-3, -2)) == [(3, 10, 8)]


def test_a_change_that_is_not_in_the_count_yet_is_not_told() -> None:
    assert told(held(8, 3), by(-2, 3), by(-3, -2)) == [(3, 10, 8)]


def test_a_change_while_we_loaded_is_told_if_we_loaded_it() -> None:
    assert told(held(4, -1, loaded=5), by(-2, 3), by(-3, 0.01), by(-1, -1)) == [(3, 10, 8), (0.01, 8, 5)]


def test_a_change_while_we_loaded_is_not_told_if_we_loaded_what_was_before() -> None:
    assert told(held(4, -1, loaded=8), by(-2, 3), by(-3, 0.01), by(-1, -1)) == [(3, 10, 8)]


def test_changes_since_the_load_that_cancel_each_other_are_not_told() -> None:
    assert told(held(8, -2, loaded=8), by(-2, 3), by(-3, -1), by(+3, -2)) == [(3, 10, 8)]


def test_a_loaded_value_that_no_change_led_to_tells_nothing() -> None:
    assert told(held(4, -1, loaded=77), by(-2, 3), by(-1, -1)) == []


def test_a_late_sale_that_arrived_after_the_load_is_left_to_our_own_history() -> None:
    assert told(held(5, -1, loaded=8), by(-2, 3), by(-3, 2, late=3)) == [(3, 10, 8)]


def test_a_stock_take_after_the_load_hides_no_past_that_an_earlier_one_proves() -> None:
    assert told(held(50, -1, loaded=8), take(10, 5), by(-2, 3), take(50, -1)) == [(5, None, 10), (3, 10, 8)]


def test_a_stock_take_after_the_load_leaves_nothing_to_go_back_by() -> None:
    assert told(held(50, -1, loaded=8), by(-2, 3), take(50, -1)) == []


# --- any life of a count ---

LIVES = st.lists(st.tuples(st.booleans(), st.integers(-20, 20)), min_size=1, max_size=30)


@given(LIVES, st.integers(0, 30))
def test_whatever_happened_each_row_says_what_was_before_and_after(life: list[tuple[bool, int]], start: int) -> None:
    value, changes, truth = start, [], {}
    for place, (counted, quantity) in enumerate(life):
        days = len(life) - place
        changes.append(take(quantity, days) if counted else by(quantity, days))
        before, value = value, quantity if counted else value + quantity
        truth[float(days)] = (before, value)
    rows = told(held(value, 1), *changes)
    assert all(truth[days][1] == after for days, _, after in rows)
    assert all(before in (None, truth[days][0]) for days, before, _ in rows)
    assert all(before is not None for _, before, _ in rows[1:])
