"""What a command writes only its own user can read, whatever the machine's habit is."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.local.embedded import locked
from tests.cli.test_first_hour import plain


def modes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): oct(path.stat().st_mode & 0o777) for path in [folder, *folder.rglob("*")]}


@pytest.mark.journey
@pytest.mark.parametrize("before", [None, 0o755], ids=["a new folder", "a folder of an older version"])
def test_the_database_is_its_users_alone(tmp_path: Path, before: int | None) -> None:
    data = tmp_path / "data"
    if before is not None:
        data.mkdir(before)
    subprocess.run(
        [sys.executable, "-m", "app.cli", "migrate"], env=plain(), cwd=tmp_path, check=True, umask=0o022, timeout=120
    )
    assert set(modes(data).values()) == {"0o700", "0o600"}


def test_a_data_folder_that_was_open_is_closed_by_who_runs_in_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(0o755)
    with locked(data):
        assert oct(data.stat().st_mode & 0o777) == "0o700"


@pytest.mark.parametrize("module", ["app.web", "workers"])
def test_every_process_begins_by_keeping_its_files_private(module: str, tmp_path: Path) -> None:
    code = f"""
import os, runpy, sys
sys.argv = ["x", "worker"]
masks = []
import app.config
def stop(): masks.append(os.umask(0)); raise SystemExit(0)
app.config.load = app.config.load_behind_router = stop
try: runpy.run_module({module!r}, run_name="__main__")
except SystemExit: print(oct(masks[0]))
"""
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=plain(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        umask=0o022,
        check=True,
    )
    assert told.stdout.strip() == "0o77"
