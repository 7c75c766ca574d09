"""What surrounds runs: the spelling of a status, the pages of dead runs, the clock before there is a schema."""

import re
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from app.domain import Kind, Options, Status, Strategy, status_of
from app.errors import BadConfiguration
from app.flows.deps import Deps
from app.flows.items.leases import LeaseKeeper
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.flows.upkeep.heartbeat import await_database
from app.flows.upkeep.retention import Keep, prune
from app.flows.upkeep.schedules import save
from app.rules.filters import FilterError, choice_of
from app.rules.spellings import DRIFT_CAUSES, DRIFT_CHANGES, RUN_CAUSES, STATUSES, Words
from app.stores.runs import run_pages, runs
from app.stores.sql.engine import Database, open_database
from tests.fakes import SHOP, World, listing


@pytest.mark.parametrize(
    ("spelling", "status"),
    [
        ("Running", Status.RUNNING),
        ("IN_PROGRESS", Status.RUNNING),
        ("In Progress", Status.RUNNING),
        ("Canceled", Status.CANCELLED),
        (" COMPLETE ", Status.COMPLETED),
    ],
)
def test_a_status_is_understood_in_any_case(spelling: str, status: Status) -> None:
    assert status_of(spelling) is status


def test_a_choice_in_a_filter_is_understood_in_any_case() -> None:
    assert choice_of("state", "DEAD", ("dead", "queued")) == "dead"


def test_a_choice_that_there_is_not_is_refused_still() -> None:
    with pytest.raises(FilterError):
        choice_of("state", "dea", ("dead", "queued"))


@pytest.mark.parametrize(
    ("words", "spelling", "word"),
    [
        (DRIFT_CAUSES, "Missed", "missed"),
        (DRIFT_CAUSES, "DRY-RUN", "dry_run"),
        (DRIFT_CAUSES, "dryRun", "dry_run"),
        (DRIFT_CHANGES, "VANISHED", "vanished"),
        (DRIFT_CHANGES, "Deleted", "vanished"),
        (RUN_CAUSES, " Scheduled ", "schedule"),
        (RUN_CAUSES, "First Start", "first start"),
        (STATUSES, "In_Progress", "running"),
    ],
)
def test_the_words_of_a_filter_are_understood_in_any_case_and_older_spelling(
    words: Words, spelling: str, word: str
) -> None:
    assert words.read(spelling) == word


def test_a_word_that_a_filter_does_not_know_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(FilterError, match="change has no 'vanish'; did you mean 'vanished'"):
        DRIFT_CHANGES.read("vanish")


@pytest.mark.parametrize("words", [DRIFT_CAUSES, DRIFT_CHANGES, RUN_CAUSES, STATUSES], ids=lambda words: words.key)
def test_every_spelling_fits_the_pattern_that_programs_are_shown(words: Words) -> None:
    spelled = [form for spelling in words.spellings for form in (spelling, spelling.upper(), spelling.title())]
    assert all(re.fullmatch(words.pattern, one) for one in spelled)


@pytest.mark.parametrize("spelling", ["In Progress", "in-progress", "IN_PROGRESS"])
def test_a_status_that_the_terminal_understands_fits_the_pattern_that_programs_are_shown(spelling: str) -> None:
    assert status_of(spelling) is Status.RUNNING
    assert re.fullmatch(STATUSES.pattern, spelling)


# --- schedules ---


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def test_a_schedule_that_is_off_has_no_rate(world: World) -> None:
    cost = save(world.deps, SHOP, "full", "0 3 * * *", "UTC", enabled=False).cost
    assert cost.runs_per_day == 0.0


def test_editing_a_job_that_is_not_scheduled_says_so(world: World) -> None:
    with pytest.raises(BadConfiguration, match="job full is not scheduled yet"):
        save(world.deps, SHOP, "full", "", "UTC", enabled=False)


# --- pages of dead runs ---


def open_run(world: World) -> int:
    return request_run(world.deps, SHOP, Strategy.CATALOG, Options(), cause="person")


def with_pages(world: World, status: str) -> int:
    run_id = open_run(world)
    with world.database.begin() as conn:
        run_pages.put(conn, run_id, 0, [listing("A")])
        runs.start(conn, run_id, "t", 15, world.clock())
        runs.finish(conn, run_id, "t", status, None, world.clock())
    return run_id


def stored_pages(world: World, run_id: int) -> int:
    with world.database.read() as conn:
        return len(list(run_pages.of(conn, run_id, Kind.PRODUCT, 100)))


def pruned(world: World) -> None:
    prune(world.deps, letters_days=0, inbox_days=0, keep=Keep())


def test_pages_of_a_dead_run_go_once_a_later_such_run_is_completed(world: World) -> None:
    dead = with_pages(world, "cancelled")
    run(world.deps, LeaseKeeper(world.database), open_run(world))
    pruned(world)
    assert stored_pages(world, dead) == 0


def test_pages_of_a_dead_run_stay_while_it_may_be_resumed(world: World) -> None:
    dead = with_pages(world, "cancelled")
    pruned(world)
    assert stored_pages(world, dead) == 1


# --- the clock and the schema ---


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    with closing(open_database(empty_url, pool=4)) as opened:
        yield opened


def test_a_process_waits_for_the_schema_not_only_for_the_database(empty: Database) -> None:
    stopping, looked = threading.Event(), threading.Event()
    deps = Deps(Looked(empty, looked), World(empty).queue, {}, {})  # type: ignore[arg-type]
    began: list[bool] = []
    waiting = threading.Thread(target=lambda: began.append(await_database(deps, stopping)))
    waiting.start()
    assert looked.wait(30)
    assert began == []
    empty.migrate()
    waiting.join(30)
    assert began == [True]


class Looked:
    """A database that says when somebody has looked for its schema."""

    def __init__(self, database: Database, looked: threading.Event) -> None:
        self._database = database
        self._looked = looked

    def at_head(self) -> bool:
        """Whether the schema is there."""
        result = self._database.at_head()
        self._looked.set()
        return result

    def __getattr__(self, name: str) -> object:
        return getattr(self._database, name)
