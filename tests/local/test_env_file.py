"""The settings file keeps what others wrote, is replaced as a whole, and is nobody else's to read."""

from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Refused
from app.local.env_file import names_in, write

OTHERS = """# mine
TALLYHOOK_LOG_JSON=true
export OTHER="several
lines" # said

TALLYHOOK_CONNECTIONS__SHOP__API_KEY=old # why
TALLYHOOK_CONNECTIONS__SHOP__NOTE='a
b'
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_text(OTHERS)
    return path


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    write(tmp_path / ".env", {"A": "1"})
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_a_file_that_others_could_read_is_its_owners_alone_afterwards(file: Path) -> None:
    file.chmod(0o644)
    write(file, {"A": "1"})
    assert file.stat().st_mode & 0o777 == 0o600


def test_other_lines_stay_as_they_are(file: Path) -> None:
    write(file, {"A": "1"}, title="new")
    assert file.read_text() == f"{OTHERS}\n# new\nA=1\n"


def test_what_is_dropped_goes_with_all_its_lines(file: Path) -> None:
    names = [name for name in names_in(file) if "__SHOP__" in name]
    write(file, {"A": "1"}, drop=names)
    assert "SHOP" not in file.read_text()
    assert dotenv_values(file) == {"TALLYHOOK_LOG_JSON": "true", "OTHER": "several\nlines", "A": "1"}


def test_a_setting_that_is_written_again_is_there_once(file: Path) -> None:
    write(file, {"TALLYHOOK_LOG_JSON": "false"})
    assert file.read_text().count("LOG_JSON") == 1


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    write(link, {"A": "1"})
    assert (link.is_symlink(), dotenv_values(file)["A"]) == (True, "1")


def test_a_value_that_would_be_read_otherwise_is_refused_without_being_shown(file: Path) -> None:
    with pytest.raises(Refused) as refused:
        write(file, {"A": "x${HOME}y"})
    assert "HOME" not in str(refused.value)
    assert file.read_text() == OTHERS


def test_a_folder_that_cannot_be_written_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be written"):
        write(tmp_path / "missing" / ".env", {"A": "1"})
    assert list(tmp_path.iterdir()) == []


@given(value=st.text(st.characters(codec="utf-8", exclude_characters="$\r\0"), max_size=40))
def test_a_value_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    path = tmp_path_factory.mktemp("env") / ".env"
    write(path, {"A": value, "B": "2"})
    assert dotenv_values(path) == {"A": value, "B": "2"}
