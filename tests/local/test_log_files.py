"""Log files of ``up``: they begin anew when they are large, and nobody who writes to them notices."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.local.children import Child, Children
from app.local.log_files import last_lines, rotate

ECHO = (
    "import sys\nfor line in sys.stdin:\n  print(line, end='', flush=True); sys.stderr.write('.'); sys.stderr.flush()"
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "web.log"


def written(log: Path) -> list[str]:
    """All lines that are kept, oldest first."""
    older = sorted(log.parent.glob(f"{log.name}.*"), reverse=True)
    return [line for file in [*older, log] for line in file.read_text().splitlines()]


def test_a_small_file_stays(log: Path) -> None:
    log.write_text("one\n")
    assert not rotate(log, largest=4)
    assert log.read_text() == "one\n"


def test_a_large_file_starts_over_and_the_older_part_is_kept(log: Path) -> None:
    log.write_text("one\ntwo\n")
    assert rotate(log, largest=4)
    assert (log.read_text(), (log.parent / "web.log.1").read_text()) == ("", "one\ntwo\n")


def test_only_so_many_older_parts_are_kept(log: Path) -> None:
    for number in range(6):
        log.write_text(f"{number}\n")
        rotate(log, largest=1, keep=3)
    assert written(log) == ["3", "4", "5"]
    assert len(list(log.parent.iterdir())) == 4


def test_a_file_that_is_not_there_yet_is_no_trouble(log: Path) -> None:
    assert not rotate(log, largest=1)


def test_a_file_that_cannot_be_copied_stays_whole(log: Path) -> None:
    log.write_text("one\ntwo\n")
    (log.parent / "web.log.1").mkdir()
    (log.parent / "web.log.1" / "in the way").write_text("x")
    assert not rotate(log, largest=4, keep=1)
    assert log.read_text() == "one\ntwo\n"
    assert sorted(file.name for file in log.parent.iterdir()) == ["web.log", "web.log.1"]


@pytest.fixture
def writer(log: Path) -> Iterator[subprocess.Popen[str]]:
    """A child that writes what it is given to its log, opened as ``Child`` opens it, and then a dot to us."""
    with log.open("ab") as file:
        child = subprocess.Popen(
            [sys.executable, "-c", ECHO], stdin=subprocess.PIPE, stdout=file, stderr=subprocess.PIPE, text=True
        )
    yield child
    child.stdin and child.stdin.close()
    child.stderr and child.stderr.close()
    child.wait()


def say(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin
    assert child.stderr
    child.stdin.write(f"{line}\n")
    child.stdin.flush()
    assert child.stderr.read(1) == "."


def test_a_child_that_goes_on_writing_loses_no_line(log: Path, writer: subprocess.Popen[str]) -> None:
    lines = [f"line {number}" for number in range(40)]
    for line in lines:
        say(writer, line)
        rotate(log, largest=100, keep=20)
    assert written(log) == lines
    assert len(list(log.parent.iterdir())) > 3


def test_a_file_that_started_over_has_no_hole_at_its_beginning(log: Path, writer: subprocess.Popen[str]) -> None:
    say(writer, "before")
    rotate(log, largest=1)
    say(writer, "after")
    assert log.read_bytes() == b"after\n"


def test_the_last_words_are_found_although_the_file_started_over(log: Path) -> None:
    log.write_text("one\ntwo\nthree\n")
    rotate(log, largest=1)
    with log.open("a") as file:
        file.write("four\n")
    assert last_lines(log, 2) == "three\nfour"


def test_the_last_words_of_a_large_file_are_its_end(log: Path) -> None:
    log.write_text("".join(f"{number}\n" for number in range(100_000)))
    assert last_lines(log, 2) == "99998\n99999"


def test_children_have_their_logs_kept_small(log: Path) -> None:
    children = Children(tell=lambda line: None)
    children.start(Child("sleeper", [sys.executable, "-c", "input()"], {}, log))
    with log.open("ab") as file:
        file.truncate(11 * 1024 * 1024)
    try:
        children.restart_ended()
        assert log.stat().st_size < 1024 * 1024
    finally:
        children.stop()
