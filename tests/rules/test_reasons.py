"""Why a row was wrong and since when, told from its traces; and what later evidence makes of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.rules.drift.drift import DriftCause, Evidence, Restore, SettledChange, Span, Traces
from app.rules.drift.drift_advice import advice_on, since_words
from app.rules.drift.reasons import claimed, corrected, reason_of, went_back

NIGHT = datetime(2026, 3, 4, 3, tzinfo=UTC)
LAST_NIGHT = NIGHT - timedelta(days=1)
NOON = NIGHT - timedelta(hours=15)
EDIT = Traces("differs", NIGHT, NIGHT, changed=NOON, newer=True, right_at=LAST_NIGHT, written_at=LAST_NIGHT)
SILENT = replace(EDIT, changed=LAST_NIGHT - timedelta(days=9), newer=False)
GONE = replace(EDIT, change="vanished", changed=None, newer=None)
NEW = replace(EDIT, change="missing", written_at=None, newer=None)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
AT_NOON = Span(NOON - HOUR, NOON + HOUR)
STOCK_ONLY = Restore(NOON - HOUR, NIGHT - HOUR, NIGHT, everything=False)
BROUGHT = SettledChange("applied", "webhook", NOON, NOON + MINUTE)
TOLD = Evidence(NOON, "a dead letter (Unmappable)")


@pytest.mark.parametrize(
    ("traces", "cause"),
    [
        (EDIT, DriftCause.MISSED),
        (SILENT, DriftCause.SILENT),
        (GONE, DriftCause.MISSED),
        (NEW, DriftCause.MISSED),
        (replace(EDIT, edited=True, failing=TOLD), DriftCause.LOCAL),
        (replace(NEW, removed=NOON), DriftCause.LOCAL),
        (replace(EDIT, failing=TOLD, waiting=NOON), DriftCause.FAILED),
        (replace(EDIT, whole_failing=TOLD), DriftCause.FAILED),
        (replace(SILENT, whole_failing=TOLD), DriftCause.SILENT),
        (replace(EDIT, waiting=NOON), DriftCause.LATE),
        (replace(EDIT, whole_waiting=NOON), DriftCause.LATE),
        (replace(GONE, whole_waiting=NOON), DriftCause.MISSED),
        (replace(EDIT, restores=[Restore(NOON - HOUR, NIGHT - HOUR, NIGHT)]), DriftCause.RESTORED),
        (replace(EDIT, restores=[Restore(NOON + HOUR, NIGHT - HOUR, NIGHT)]), DriftCause.MISSED),
        (replace(SILENT, restores=[Restore(NOON - HOUR, NIGHT - HOUR, NIGHT)]), DriftCause.SILENT),
        (replace(EDIT, waiting=NOON, restores=[Restore(NOON - HOUR, NIGHT - HOUR, NIGHT)]), DriftCause.LATE),
        (replace(EDIT, waiting=NOON, restores=[Restore(NOON - HOUR, NIGHT - HOUR, NIGHT, False)]), DriftCause.LATE),
        (replace(EDIT, waiting=NIGHT, restores=[Restore(NOON - HOUR, NIGHT - HOUR, NIGHT)]), DriftCause.RESTORED),
        (replace(EDIT, restores=[STOCK_ONLY]), DriftCause.MISSED),
        (replace(EDIT, restores=[STOCK_ONLY], looks=[NOON + MINUTE]), DriftCause.RESTORED),
        (replace(EDIT, restores=[STOCK_ONLY], looks=[NOON - MINUTE, NIGHT]), DriftCause.MISSED),
        (replace(EDIT, restores=[STOCK_ONLY], settled=BROUGHT), DriftCause.RESTORED),
        (replace(EDIT, restores=[STOCK_ONLY], settled=BROUGHT._replace(outcome="unchanged")), DriftCause.STALE),
        (replace(EDIT, whole_failing=TOLD, waiting=NOON), DriftCause.LATE),
        (replace(EDIT, whole_failing=TOLD, settled=BROUGHT._replace(outcome="unchanged")), DriftCause.STALE),
        (replace(SILENT, mapping=Span(LAST_NIGHT, NIGHT)), DriftCause.MAPPING),
        (replace(SILENT, mapping=Span(LAST_NIGHT, NIGHT), alone_in_fields=True), DriftCause.SILENT),
        (replace(EDIT, mapping=Span(LAST_NIGHT, NIGHT)), DriftCause.MISSED),
        (replace(EDIT, settled=SettledChange("unchanged", "webhook", NOON, NOON + MINUTE)), DriftCause.STALE),
        (replace(EDIT, settled=SettledChange("applied", "webhook", NOON - HOUR, NOON - HOUR)), DriftCause.MISSED),
        (replace(EDIT, refused=[NOON + MINUTE]), DriftCause.REFUSED),
        (replace(EDIT, refused=[NOON + HOUR]), DriftCause.MISSED),
        (replace(GONE, refused=[NOON]), DriftCause.MISSED),
        (replace(GONE, refused_by_name=[NOON]), DriftCause.REFUSED),
        (replace(EDIT, downs=[AT_NOON]), DriftCause.DOWN),
        (replace(EDIT, downs=[Span(NIGHT - HOUR, NIGHT)]), DriftCause.MISSED),
        (replace(EDIT, not_looked=NOON - HOUR), DriftCause.DOWN),
        (replace(SILENT, not_looked=NOON - HOUR), DriftCause.SILENT),
        (replace(EDIT, changed=NIGHT + MINUTE, found_at=NIGHT + HOUR), DriftCause.UNKNOWN),
    ],
)
def test_the_cause_follows_from_the_traces(traces: Traces, cause: DriftCause) -> None:
    assert reason_of(traces).cause is cause


def test_a_missed_edit_made_our_copy_wrong_after_it_was_last_right_and_at_the_edit_at_the_latest() -> None:
    reason = reason_of(EDIT)
    assert (reason.since, reason.latest) == (LAST_NIGHT, NOON)


def test_a_local_edit_is_not_dated_by_the_source() -> None:
    reason = reason_of(replace(EDIT, edited=True, changed=LAST_NIGHT - timedelta(days=9)))
    assert (reason.since, reason.latest) == (LAST_NIGHT, NIGHT)


def test_a_restored_row_is_wrong_since_the_restore() -> None:
    reason = reason_of(replace(EDIT, restores=[Restore(NOON - HOUR, NIGHT - HOUR, NIGHT - MINUTE)]))
    assert (reason.since, reason.latest) == (NIGHT - HOUR, NIGHT - MINUTE)


def test_a_span_never_ends_before_it_begins() -> None:
    reason = reason_of(replace(EDIT, right_at=NIGHT))
    assert reason.since is not None
    assert reason.since <= reason.latest


def test_a_row_that_is_older_than_our_memory_of_writing_it_went_back() -> None:
    applied = SettledChange("applied", "webhook", NOON, NOON + MINUTE)
    assert went_back(replace(EDIT, settled=applied))
    assert not went_back(replace(EDIT, settled=applied, written_at=NOON + MINUTE))
    assert not went_back(replace(NEW, settled=applied, removed=NOON + HOUR))


def settled_after(minutes: float, outcome: str = "unchanged", cause: str = "webhook") -> list[SettledChange]:
    moment = NIGHT + timedelta(minutes=minutes)
    return [SettledChange(outcome, cause, moment, moment)]


@pytest.mark.parametrize(
    ("cause", "events", "hours", "after"),
    [
        ("missed", settled_after(300), 6, "late"),
        ("missed", settled_after(300, "applied"), 6, None),
        ("missed", settled_after(300, cause="poll"), 6, None),
        ("missed", settled_after(60 * 50), 60, None),
        ("local", settled_after(300), 6, None),
        ("down", settled_after(300), 6, "late"),
        ("unknown", settled_after(1), 0.1, "late"),
        ("unknown", [], 0.5, None),
        ("unknown", [], 2, "missed"),
    ],
)
def test_later_evidence_corrects_a_reason(
    cause: str, events: list[SettledChange], hours: float, after: str | None
) -> None:
    reason = corrected(cause, NIGHT, events, NIGHT + timedelta(hours=hours))
    assert (None if reason is None else reason.cause) == after


@pytest.mark.parametrize("cause", DriftCause)
def test_every_cause_says_what_to_do(cause: DriftCause) -> None:
    assert advice_on(cause)


def test_a_dry_run_advises_nothing() -> None:
    assert advice_on("dry_run") is None


@pytest.mark.parametrize(
    ("since", "latest", "words"),
    [
        (NIGHT - HOUR, NIGHT, "between 03-04 02:00 and 03:00"),
        (LAST_NIGHT, NIGHT, "between 03-03 03:00 and 03-04 03:00"),
        (NIGHT, NIGHT, "since 03-04 03:00"),
        (None, NIGHT, "at 03-04 03:00 at the latest"),
        (NIGHT, None, "since 03-04 03:00"),
        (None, None, ""),
    ],
)
def test_since_is_shown_with_how_exactly_it_is_known(since: datetime, latest: datetime, words: str) -> None:
    assert since_words(since, latest) == words


# --- a refused delivery that names nothing ---


def changed_at(*moments: datetime, **more: object) -> list[Traces]:
    return [replace(EDIT, changed=moment, refused=[NOON], **more) for moment in moments]  # type: ignore[arg-type]


def test_a_refused_delivery_that_names_nothing_is_of_the_change_just_before_it() -> None:
    nearest, other = claimed(changed_at(NOON - SECOND, NOON - 3 * MINUTE))
    assert (nearest.refused, other.refused) == ([NOON], [])


def test_a_refused_delivery_may_be_of_many_changes_of_the_same_minute() -> None:
    assert [one.refused for one in claimed(changed_at(NOON - SECOND, NOON - 30 * SECOND))] == [[NOON], [NOON]]


def test_a_refused_delivery_is_not_of_a_change_that_was_heard_of() -> None:
    heard, other = claimed([*changed_at(NOON - SECOND, waiting=NOON), *changed_at(NOON - 3 * MINUTE)])
    assert (heard.refused, other.refused) == ([], [NOON])


def test_each_refused_delivery_is_of_a_change_of_its_own() -> None:
    both = [NOON, NOON + MINUTE]
    rows = [replace(EDIT, changed=at, refused=both) for at in (NOON - 2 * MINUTE, NOON - SECOND, NOON + 90 * SECOND)]
    assert [one.refused for one in claimed(rows)] == [[NOON + MINUTE], [NOON], []]
