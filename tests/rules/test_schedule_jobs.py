"""The jobs: every connection gets those its source can do, at times that can be kept."""

from datetime import UTC, datetime

import pytest

from app.domain import Kind, Options, Strategy
from app.errors import BadConfiguration
from app.rules.runs.jobs import JOBS, defaults, job_of
from app.rules.runs.schedule import check

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def given_to(*kinds: Kind) -> dict[str, str]:
    return defaults(kinds, NOON, poll="*/9 * * * *", full="0 4 * * *")


@pytest.mark.parametrize("job", [job for job in JOBS.values() if job.cron])
def test_every_default_can_be_read(job) -> None:  # type: ignore[no-untyped-def]
    check(job.cron, "UTC", NOON)


def test_a_source_of_every_kind_gets_every_job_that_has_a_time() -> None:
    assert set(given_to(*Kind)) == {"poll", "critical", "inventory", "smart", "daily", "active", "deep", "full"}


def test_a_source_without_stock_gets_no_inventory_job() -> None:
    assert "inventory" not in given_to(Kind.PRODUCT)


def test_poll_and_full_come_when_the_settings_say() -> None:
    crons = given_to(*Kind)
    assert (crons["poll"], crons["full"]) == ("*/9 * * * *", "0 4 * * *")


def test_every_strategy_but_those_of_a_person_can_be_scheduled() -> None:
    assert set(Strategy) - {job.strategy for job in JOBS.values()} == {Strategy.CATEGORY, Strategy.RETRY}


def test_the_deep_run_goes_before_the_full_one() -> None:
    names = list(JOBS)
    assert names.index("deep") < names.index("full")


def test_the_deep_run_is_a_full_one_that_confirms() -> None:
    assert (JOBS["deep"].strategy, JOBS["deep"].options) == (Strategy.FULL, Options(deep=True))


@pytest.mark.parametrize(("spelled", "name"), [("Poll ", "poll"), ("incremental", "poll"), ("reconcile", "full")])
def test_a_job_has_older_and_other_names(spelled: str, name: str) -> None:
    assert job_of(spelled).name == name


def test_an_unknown_job_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadConfiguration, match="critical"):
        job_of("everything")


def test_a_category_has_no_time_of_its_own() -> None:
    with pytest.raises(BadConfiguration, match="on demand only"):
        job_of("category")
