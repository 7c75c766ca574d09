"""Archiving the audit log: nothing is lost, whenever it is killed, and what went still proves itself."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.flows.access import audit
from app.flows.access.audit_archive import archive
from app.stores.access import archives
from app.stores.access import audit as log
from app.stores.sql.engine import Database
from tests.dying import Dying, Killed
from tests.fakes import World

FIRST_OF_JUNE = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = 86_400.0


@pytest.fixture
def world(database: Database) -> World:
    """Five entries in January, five in February, two in June."""
    world = World(database)
    for month, count in ((1, 5), (2, 5), (6, 2)):
        world.clock.moment = FIRST_OF_JUNE.replace(month=month)
        note(world, count)
    return world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the archives go; it is not there yet."""
    return tmp_path / "archive"


def note(world: World, count: int) -> None:
    for number in range(count):
        with world.database.begin() as conn:
            audit.note(world.deps, conn, "letters.discard", f"letter {number}", before={"why": "ü"}, why="a reason")


def numbers(world: World) -> list[int]:
    with world.database.read() as conn:
        return [entry.number for entry in log.chain(conn)]


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_whole_months_that_are_old_enough_go_into_a_file(world: World, folder: Path) -> None:
    assert archive(world.deps, folder, 80) == 10
    assert files(folder) == ["audit-1-10.jsonl"]
    assert numbers(world) == [11, 12, 13]


def test_a_month_that_is_not_wholly_old_enough_stays(world: World, folder: Path) -> None:
    assert archive(world.deps, folder, 110) == 5


def test_a_log_that_goes_on_has_one_chain_through_its_archives(world: World, folder: Path) -> None:
    archive(world.deps, folder, 110)
    note(world, 3)
    archive(world.deps, folder, 80)
    verdict = audit.verify(world.deps, archive=folder)
    assert (verdict.entries, verdict.archived, verdict.problem) == (17, 10, None)


def test_a_head_noted_before_is_found_in_the_archive(world: World, folder: Path) -> None:
    with world.database.read() as conn:
        head = next(entry.hash for entry in log.chain(conn) if entry.number == 7)
    archive(world.deps, folder, 80)
    assert audit.verify(world.deps, head, archive=folder).problem is None


def test_archiving_is_an_entry_itself(world: World, folder: Path) -> None:
    archive(world.deps, folder, 80)
    with world.database.read() as conn:
        (newest,) = log.entries(conn, limit=1)
    assert (newest.action, newest.after["file"]) == ("audit.archive", "audit-1-10.jsonl")


def test_the_newest_entry_never_goes(world: World, folder: Path) -> None:
    world.clock.pass_(5_000 * DAY)
    archive(world.deps, folder, 1)
    assert numbers(world) == [12, 13]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM audit_log WHERE number = 11",
        "DELETE FROM audit_log",
        "UPDATE audit_log SET why = 'x' WHERE number = 5",
        "DELETE FROM audit_archives",
        "UPDATE audit_archives SET last_number = 99",
    ],
)
def test_the_database_lets_nothing_go_but_what_is_archived(world: World, folder: Path, sql: str) -> None:
    with world.database.begin() as conn:
        log.add_archive(conn, log.Archive(1, 5, "x", "f"), world.clock())
        conn.execute(text("DELETE FROM audit_log WHERE number <= 4"))
    with pytest.raises(DBAPIError, match="append-only"), world.database.begin() as conn:
        conn.execute(text(sql))


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step_it_goes_on_and_loses_nothing(world: World, folder: Path, at: int, after: bool) -> None:
    dying: Any = Dying(world.database, at, after=after)
    with pytest.raises(Killed):
        archive(replace(world.deps, database=dying), folder, 80)
    assert audit.verify(world.deps, archive=folder).problem is None
    archive(world.deps, folder, 80)
    verdict = audit.verify(world.deps, archive=folder)
    assert (verdict.entries, verdict.archived, verdict.problem) == (13, 10, None)


def test_clocks_that_archive_at_once_archive_each_entry_once(world: World, folder: Path) -> None:
    with ThreadPoolExecutor(4) as clocks:
        list(clocks.map(lambda _: archive(world.deps, folder, 80), range(4)))
    assert (numbers(world), files(folder)) == ([11, 12, 13], ["audit-1-10.jsonl"])
    assert audit.verify(world.deps, archive=folder).problem is None


def test_verifying_finds_an_archive_that_is_missing(world: World, folder: Path) -> None:
    archive(world.deps, folder, 80)
    (folder / "audit-1-10.jsonl").unlink()
    assert "audit-1-10.jsonl cannot be read" in (audit.verify(world.deps, archive=folder).problem or "")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'"letter 2"', b'"letter 3"', "entry 3 was changed"),
        (b'"number":3,', b'"number":4,', "entry 3 is missing"),
        (b'{"number":10,', b"{", "entry 10 is missing"),
        (b'{"number":2,', b"{{", "is damaged"),
        (b'"at":"2026-01-01', b'"at":"sometime', "is damaged"),
    ],
)
def test_verifying_finds_an_archive_that_was_edited(
    world: World, folder: Path, old: bytes, new: bytes, says: str
) -> None:
    archive(world.deps, folder, 80)
    file = folder / "audit-1-10.jsonl"
    before = file.read_bytes()
    assert old in before
    file.write_bytes(before.replace(old, new))
    assert says in (audit.verify(world.deps, archive=folder).problem or "")


def test_verifying_finds_an_archive_that_was_cut_short(world: World, folder: Path) -> None:
    archive(world.deps, folder, 80)
    file = folder / "audit-1-10.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    assert "does not end with entry 10" in (audit.verify(world.deps, archive=folder).problem or "")


def test_a_broken_chain_is_not_archived(world: World, folder: Path) -> None:
    with world.database.begin() as conn:
        conn.execute(
            text(
                "DROP TRIGGER audit_log_no_update"
                if conn.dialect.name == "sqlite"
                else "SET session_replication_role = replica"
            )
        )
        conn.execute(text("UPDATE audit_log SET who = 'nobody' WHERE number = 4"))
    assert archive(world.deps, folder, 80) == 0
    assert len(numbers(world)) == 12


def test_a_host_that_lacks_the_earlier_archives_leaves_the_log_alone(world: World, folder: Path) -> None:
    archive(world.deps, folder / "one", 110)
    assert archive(world.deps, folder / "other", 80) == 0
    assert 6 in numbers(world)


def test_an_archived_entry_reads_as_it_was_stored(world: World, folder: Path) -> None:
    with world.database.read() as conn:
        stored = list(log.chain(conn))[:10]
    archive(world.deps, folder, 80)
    assert list(archives.read(folder, "audit-1-10.jsonl")) == stored
