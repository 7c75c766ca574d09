"""Finds the installation that a command is about: what runs in the data folder, else the demo, else the settings'."""

import shutil
import sys
from pathlib import Path

from app import config
from app.config import Settings
from app.errors import NotFound
from app.local.run_file import Running, find

DEMO = "demo"
"""Folder of the demo, below the data folder."""


def settings_here() -> Settings:
    """The settings for a command in the folder of a running installation; raises ``BadConfiguration``."""
    settings = config.load()
    if settings.database_url is not None:
        return settings
    running_here = _running_here(settings)
    if running_here is None:
        return settings
    folder, running = running_here
    return config.load(
        data_dir=folder,
        database_url=running.database_url,
        redis_url=running.redis_url,
        host=running.host,
        port=running.port,
        public_url=running.public_url,
        connections=running.connections,
    )


def check_database_here(settings: Settings) -> None:
    """Raise ``NotFound`` that names the folder when the file of an embedded database does not exist."""
    file = settings.embedded_database()
    if settings.database_url is None and not file.exists():
        folder = settings.data_dir.absolute()
        raise NotFound(
            f"nothing runs in {folder} or {folder / DEMO}, and there is no database: start `tallyhook demo` or "
            "`tallyhook up`, run this where one was started, or name its folder with TALLYHOOK_DATA_DIR"
        )


def typed_here() -> str:
    """How to type this program in this folder: its name where a shell finds it, else its path."""
    own, on_path = Path(sys.executable).with_name("tallyhook"), shutil.which("tallyhook")
    if not own.exists() or (on_path is not None and Path(on_path).absolute() == own):
        return "tallyhook"
    return str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own)


def _running_here(settings: Settings) -> tuple[Path, Running] | None:
    folders = [settings.data_dir]
    if not settings.embedded_database().exists():
        folders.append(settings.data_dir / DEMO)
    return next(((folder, running) for folder in folders if (running := find(folder)) is not None), None)
