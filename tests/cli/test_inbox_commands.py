"""``tallyhook inbox``: look at deliveries, replay them, carry them out of one installation and into another."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.conftest import Terminal
from tests.fakes import SHOP

FRIEND = {"x-word": "friend"}


def line(event: str, *items: str, headers: dict[str, str] = FRIEND, type_: str = "changed") -> str:
    pairs = [["product", item] for item in items]
    body = msgspec.json.encode({"id": event, "type": type_, "items": pairs}).decode()
    told: dict[str, Any] = {"connection": SHOP, "headers": headers, "body": body}
    return msgspec.json.encode(told).decode()


@pytest.fixture
def file(terminal: Terminal, tmp_path: Path) -> str:
    """Two good lines, a forged one between them, and one that is no text, none of them imported yet."""
    lines = [line("e1", "P00"), line("e2", "P01", headers={}), line("e3", "P00", "P02")]
    path = tmp_path / "saved.jsonl"
    path.write_bytes("\n".join(lines).encode() + b"\n\xff\n")
    return str(path)


def test_import_takes_the_good_lines_and_tells_the_bad_ones(terminal: Terminal, file: str) -> None:
    said = terminal.type("inbox", "import", file)
    assert (said.code, said.out) == (1, "2 new deliveries, 0 here already, 2 bad lines.\n")
    assert "line 2: the word is wrong" in said.err
    assert "line 4: " in said.err


def test_rejects_holds_the_bad_lines_as_they_were(terminal: Terminal, file: str, tmp_path: Path) -> None:
    terminal.type("inbox", "import", file, "--rejects", str(tmp_path / "bad"))
    assert (tmp_path / "bad").read_bytes() == line("e2", "P01", headers={}).encode() + b"\n\xff\n"


def test_trust_takes_what_cannot_be_verified(terminal: Terminal, file: str) -> None:
    assert "3 new deliveries" in terminal.type("inbox", "import", file, "--trust").out


def test_what_is_exported_can_be_imported(terminal: Terminal, file: str, tmp_path: Path) -> None:
    terminal.type("inbox", "import", file)
    exported = terminal.type("inbox", "export", "event:e3").out
    (tmp_path / "again").write_text(exported)
    said = terminal.type("inbox", "import", str(tmp_path / "again"))
    assert (said.code, said.out) == (0, "0 new deliveries, 1 here already, 0 bad lines.\n")


def test_list_answers_programs_with_one_document(terminal: Terminal, file: str) -> None:
    terminal.type("inbox", "import", file)
    rows = terminal.type("inbox", "list", "item:P00", "--json").json["rows"]
    assert {row["event_id"] for row in rows} == {"e1", "e3"}


def test_list_says_that_it_left_out_older_ones(terminal: Terminal, file: str) -> None:
    terminal.type("inbox", "import", file)
    assert "of the last 7 days" in terminal.type("inbox", "list", "item:P00").out
    assert "of the last 7 days" not in terminal.type("inbox", "list", "item:P00", "since:30d").out


def test_show_tells_what_came_of_each_item(terminal: Terminal, file: str) -> None:
    terminal.type("inbox", "import", file)
    id = terminal.type("inbox", "list", "event:e3", "--json").json["rows"][0]["id"]
    said = terminal.type("inbox", "show", str(id)).out
    assert "product/P02: owed, 0 failed tries" in said
    assert '{"id":"e3"' in said


def test_replay_takes_each_item_once(terminal: Terminal, file: str) -> None:
    terminal.type("inbox", "import", file)
    said = terminal.type("inbox", "replay", "since:2h", "--name", "a bad hour")
    assert (said.code, "of 2 items" in said.out) == (0, True)


@pytest.mark.parametrize("words", [[], ["since:2h"], ["9"], ["9" * 30]])
def test_a_replay_that_names_nothing_is_refused(terminal: Terminal, words: list[str]) -> None:
    said = terminal.type("inbox", "replay", *words)
    assert (said.code, said.err.startswith("tallyhook: ")) == (4 if words != ["9" * 30] else 2, True)
