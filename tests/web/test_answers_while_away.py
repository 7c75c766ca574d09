"""While the database is away every request is answered 503 and when to come back, and afterwards as always."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
import structlog
from structlog.testing import LogCapture

from app.flows.access import accounts
from app.stores.sql.engine import Database, open_database
from app.web.auth import AuthSettings
from tests.fakes import SHOP, World
from tests.stack import eventually
from tests.web.serving import body_of, deliver, inbox_ids, serving
from tests.web.test_access_matrix import FILLED, routes

NOWHERE = ("postgresql://u:hidden-word@127.0.0.1:1/d", "sqlite:////no/such/folder/a.db")

NEEDS_NO_DATABASE = {
    ("GET", "/healthz"),
    ("GET", "/openapi.json"),
    ("GET", "/login"),
    ("GET", "/api/sync-{connection}/health"),  # answers that it is not healthy, and why
}


@pytest.fixture(params=NOWHERE, ids=["postgresql", "sqlite"])
def away(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database that does not answer."""
    with closing(open_database(request.param, pool=4, patience=0.05)) as database:
        yield database


@pytest.fixture
def hasty(sqlite_url: str) -> Iterator[Database]:
    """A SQLite database that waits 50 ms for another program's lock."""
    with closing(open_database(sqlite_url, patience=0.05)) as database:
        yield database


def is_busy(answer: httpx.Response) -> bool:
    """Whether it says that one may come back, and when."""
    return answer.status_code == 503 and int(answer.headers.get("retry-after", "0")) > 0


def address(path: str) -> str:
    for part, value in FILLED.items():
        path = path.replace(part, value)
    return path


def test_no_route_answers_500(away: Database) -> None:
    world = World(away)
    with serving(world.deps) as client:
        answers = {
            (method, path): client.request(method, address(path), json={} if method != "GET" else None)
            for method, path in routes(world)
        }
    assert {asked: answer.status_code for asked, answer in answers.items() if answer.status_code == 500} == {}


def test_every_route_that_reads_says_when_to_come_back(away: Database) -> None:
    world = World(away)
    asked = [path for method, path in routes(world) if method == "GET" and (method, path) not in NEEDS_NO_DATABASE]
    with serving(world.deps) as client:
        wrong = {path: got for path in asked if not is_busy(got := client.get(address(path)))}
    assert {path: (answer.status_code, answer.text[:200]) for path, answer in wrong.items()} == {}


def test_a_caller_with_a_token_is_told_to_come_back(away: Database) -> None:
    with serving(World(away).deps, doors=AuthSettings()) as client:
        assert is_busy(client.get(f"/api/sync/status/{SHOP}", headers={"Authorization": "Bearer th_x"}))


def test_a_caller_with_a_session_is_told_to_come_back(away: Database) -> None:
    with serving(World(away).deps, doors=AuthSettings()) as client:
        assert is_busy(client.get("/dead-letters", headers={"Cookie": f"{AuthSettings().cookie}=a-session"}))


def test_signing_in_is_told_to_come_back(away: Database) -> None:
    with serving(World(away).deps, doors=AuthSettings()) as client:
        assert is_busy(client.post("/login", data={"token": "th_x"}))


def test_a_delivery_is_told_to_come_back(away: Database) -> None:
    with serving(World(away).deps) as client:
        assert is_busy(deliver(client, body_of("e1", "A")))


def test_the_process_is_alive(away: Database) -> None:
    with serving(World(away).deps) as client:
        assert client.get("/healthz").status_code == 200


def test_no_answer_shows_the_databases_password(away: Database) -> None:
    with serving(World(away).deps) as client:
        assert "hidden-word" not in client.get("/metrics").text + deliver(client, body_of("e1")).text


def test_a_delivery_is_taken_when_a_locked_file_is_free_again(hasty: Database) -> None:
    with serving(World(hasty).deps) as client:
        with closing(locked(hasty)):
            refused = [deliver(client, body_of(event_id, "A")) for event_id in ("e1", "e2")]
        taken = deliver(client, body_of("e1", "A"))
    assert [is_busy(answer) for answer in refused] == [True, True]
    assert (taken.status_code, inbox_ids(hasty)) == (202, ["e1"])


@pytest.fixture
def log() -> Iterator[LogCapture]:
    """What is logged, whatever an earlier test made of the logs."""
    config, captured = structlog.get_config(), LogCapture()
    structlog.reset_defaults()
    structlog.configure(processors=[captured])
    yield captured
    structlog.configure(**config)


def test_the_log_says_once_that_the_database_is_away(hasty: Database, log: LogCapture) -> None:
    with serving(World(hasty).deps) as client:
        with closing(locked(hasty)):
            for number in range(5):
                deliver(client, body_of(f"e{number}", "A"))
        deliver(client, body_of("e", "A"))
    said = [entry["event"] for entry in log.entries]
    assert [said.count(word) for word in ("database_lost", "database_back")] == [1, 1]
    assert not [event for event in said if "not_committed" in event]


def test_a_delivery_is_taken_when_a_full_file_has_room_again(hasty: Database) -> None:
    with serving(World(hasty).deps) as client:
        limit(hasty, pages=1)
        refused = eventually(lambda: is_busy(deliver(client, body_of("big", *map(str, range(5_000))))), within=30)
        limit(hasty, pages=1_000_000)
        taken = deliver(client, body_of("e1", "A"))
    assert refused
    assert (taken.status_code, inbox_ids(hasty)[-1]) == (202, "e1")


def locked(database: Database) -> sqlite3.Connection:
    """Another program's connection that holds the write lock until it is closed."""
    other = sqlite3.connect(database.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def limit(database: Database, *, pages: int) -> None:
    """Let the file grow to so many pages, or no further than it has grown; on the one connection that is idle."""
    with database.begin() as conn:
        conn.exec_driver_sql(f"PRAGMA max_page_count={pages}")


def test_a_token_is_taken_again_when_the_database_is_back(hasty: Database) -> None:
    world = World(hasty)
    token = accounts.first_token(world.deps)
    with serving(world.deps, doors=AuthSettings()) as client:
        headers = {"Authorization": f"Bearer {token}"}
        with closing(locked(hasty)):
            client.post(f"/api/reconcile/{SHOP}", headers=headers)
        assert client.get("/metrics", headers=headers).status_code == 200
