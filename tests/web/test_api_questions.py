"""The API over real HTTP: every question is answered from rows of the database."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.domain import Kind, Strategy
from app.stores.runs import failed_items
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World
from tests.web.api_shop import API, PAST, finished, furnished, give_a_sign, opened
from tests.web.serving import serving


@pytest.fixture
def world(database: Database) -> World:
    return furnished(database)


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with serving(world.deps) as serving_:
        yield serving_


def asked(client: httpx.Client, path: str) -> dict[str, Any]:
    """The answer to a question that must be answered."""
    response = client.get(path if path.startswith("/api") else API + path)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def walked(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """The rows of all pages from this one on."""
    rows: list[dict[str, Any]] = []
    following: str | None = path
    while following is not None:
        page = asked(client, following)
        rows += page["rows"]
        following = page["next"]
    return rows


# --- status and health ---


def test_status_counts_the_rows(client: httpx.Client) -> None:
    assert asked(client, "/status")["rows"]["product"] == 3


def test_status_shows_the_active_run(client: httpx.Client, world: World) -> None:
    run_id = opened(world)
    assert asked(client, "/status")["activeRun"]["id"] == run_id


def test_status_shows_no_active_run_where_there_is_none(client: httpx.Client) -> None:
    assert asked(client, "/status")["activeRun"] is None


def test_status_shows_what_is_owed_by_kind(client: httpx.Client, world: World) -> None:
    client.post(f"{API}/items/A")
    world.clock.pass_(30)
    assert asked(client, "/status")["owedByKind"]["stock"] == {"items": 1, "oldestSeconds": 30.0}


def test_health_says_in_words_what_is_wrong(client: httpx.Client) -> None:
    assert "3 item(s) could not be synced (rate_limit)" in " ".join(asked(client, "/health")["problems"])


def test_health_says_that_the_last_run_failed(client: httpx.Client, world: World) -> None:
    run_id = finished(world, Strategy.VENDORS, failed=True)
    assert f"the last run ({run_id}, vendors) failed: it broke" in asked(client, "/health")["problems"]


def test_a_failure_that_a_later_run_made_good_is_no_problem(client: httpx.Client) -> None:
    assert "failed: it broke" not in " ".join(asked(client, "/health")["problems"])


def test_a_connection_without_a_problem_is_healthy(client: httpx.Client, world: World) -> None:
    with world.database.begin() as conn:
        failed_items.resolve(conn, SHOP, Kind.STOCK, ["A", "B", "C"], world.clock())
    give_a_sign(world)
    assert asked(client, "/health")["problems"] == []


def test_a_silent_worker_is_a_problem(client: httpx.Client, world: World) -> None:
    world.clock.pass_(300)
    assert "no worker gave a sign of life for 30 s" in asked(client, "/health")["problems"]


# --- history ---


def test_history_is_newest_first(client: httpx.Client) -> None:
    assert [run["strategy"] for run in asked(client, "/history")["rows"]] == [*reversed(PAST)]


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
def test_the_pages_of_history_are_the_whole(client: httpx.Client, limit: int) -> None:
    assert [run["id"] for run in walked(client, f"/history?limit={limit}")] == [
        run["id"] for run in asked(client, "/history")["rows"]
    ]


def test_a_page_keeps_its_filters(client: httpx.Client) -> None:
    strategies = {run["strategy"] for run in walked(client, "/history?limit=1&strategy=full&dry=false")}
    assert strategies == {"full"}


@pytest.mark.parametrize("spelled", ["completed", "complete", "success", "Completed", "COMPLETE"])
def test_history_understands_older_spellings_of_a_status(client: httpx.Client, spelled: str) -> None:
    assert [run["status"] for run in asked(client, f"/history?status={spelled}")["rows"]] == ["completed"] * 2


def test_history_since_the_future_is_empty(client: httpx.Client) -> None:
    assert asked(client, "/history?since=2030-01-01T00:00:00Z")["rows"] == []


# --- the rest ---


def test_a_run_shows_its_progress(client: httpx.Client) -> None:
    run_id = asked(client, "/history")["rows"][0]["id"]
    assert asked(client, f"/runs/{run_id}")["progress"]["processed"] == 10


def test_metrics_count_the_runs(client: httpx.Client) -> None:
    assert asked(client, "/metrics?days=7")["runs"]["byStatus"] == {"completed": 2, "failed": 1}


def test_critical_lists_what_is_out_or_low(client: httpx.Client) -> None:
    rows = walked(client, "/critical?limit=1")
    assert [(row["externalId"], row["state"]) for row in rows] == [("A", "out"), ("B", "low")]


def test_critical_counts_each_sort(client: httpx.Client) -> None:
    assert asked(client, "/critical")["counts"] == {"out": 1, "low": 1}


def test_validate_counts_what_is_wrong(client: httpx.Client) -> None:
    found = {check["check"]: check["count"] for check in asked(client, "/validate?anew=true")["checks"]}
    assert (found["missing_price"], found["duplicate_skus"]) == (3, 0)


def test_validate_shows_as_many_samples_as_asked_for(client: httpx.Client) -> None:
    found = {check["check"]: len(check["samples"]) for check in asked(client, "/validate?samples=2")["checks"]}
    assert found["missing_price"] == 2


def test_failed_items_say_why(client: httpx.Client) -> None:
    assert {row["category"] for row in walked(client, "/failed-items?limit=2")} == {"rate_limit"}


def test_failed_items_of_another_category_are_not_shown(client: httpx.Client) -> None:
    assert asked(client, "/failed-items?category=auth")["rows"] == []


def test_drift_shows_what_differed_field_by_field(client: httpx.Client) -> None:
    fields = [row["fields"] for row in walked(client, "/drift?limit=1&kind=product")]
    assert fields == [{"name": ["old", "new"]}] * 2


@pytest.mark.parametrize("spelled", ["change=differs", "change=DIFFERS", "change=Updated"])
def test_drift_understands_a_change_in_any_case_and_older_spelling(client: httpx.Client, spelled: str) -> None:
    assert {row["change"] for row in walked(client, f"/drift?limit=1&{spelled}")} == {"differs"}


def test_drift_of_a_cause_that_there_is_not_is_refused(client: httpx.Client) -> None:
    assert client.get(f"/api/sync-{SHOP}/drift?cause=mised").status_code == 400


def test_drift_of_a_run_is_summed_up(client: httpx.Client) -> None:
    run_id = asked(client, "/history")["rows"][-1]["id"]
    summary = asked(client, f"/drift?runId={run_id}")["summary"]
    assert {(row["kind"], row["rows"]) for row in summary} == {("product", 2), ("stock", 1)}


def test_the_schedule_shows_the_next_five_times(client: httpx.Client) -> None:
    (job,) = [job for job in asked(client, "/schedule")["jobs"] if job["job"] == "full"]
    assert len(job["next"]) == 5


def test_an_edited_schedule_is_kept(client: httpx.Client) -> None:
    client.put(f"{API}/schedule", json={"job": "full", "cron": "30 4 * * *"})
    (job,) = [job for job in asked(client, "/schedule")["jobs"] if job["job"] == "full"]
    assert (job["cron"], job["timezone"]) == ("30 4 * * *", "Europe/Berlin")


def test_an_edit_that_says_only_off_keeps_the_rest(client: httpx.Client) -> None:
    edited = client.put(f"{API}/schedule", json={"job": "full", "enabled": False}).json()
    assert (edited["enabled"], edited["cron"]) == (False, "0 3 * * *")


@pytest.mark.parametrize("wrong", [{"cron": "0 99 * * *"}, {"timezone": "Mars/Olympus"}, {"job": "nothing"}])
def test_a_wrong_schedule_is_422(client: httpx.Client, wrong: dict[str, str]) -> None:
    assert client.put(f"{API}/schedule", json={"job": "full", "cron": "0 3 * * *", **wrong}).status_code == 422


def test_only_the_asked_connection_is_told_of(client: httpx.Client, world: World) -> None:
    with world.database.begin() as conn:
        conn.exec_driver_sql("UPDATE runs SET connection = 'other'")
    assert asked(client, "/history")["rows"] == []
