"""The commands that a start prints can be typed as they stand, whether or not a shell knows this program by its name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.here import typed_here

BIN = Path(sys.executable).parent


@pytest.fixture(autouse=True)
def in_the_folder_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BIN.parent.parent)


def test_a_shell_that_knows_the_program_needs_its_name_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.defpath}")
    assert typed_here() == "tallyhook"


def test_a_shell_that_does_not_know_the_program_needs_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    typed = f"{typed_here()} status --help"
    assert subprocess.run(typed, shell=True, capture_output=True, check=False).returncode == 0


def test_from_elsewhere_the_path_is_a_whole_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.chdir(tmp_path)
    assert Path(typed_here()) == BIN / "tallyhook"
