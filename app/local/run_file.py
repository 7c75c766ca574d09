"""A small file in the data folder that tells every other command how to reach what runs there."""

import fcntl
from pathlib import Path

import msgspec

from app.domain.decoding import decode
from app.local.private import replace_file

NAME = "running.json"
LOCK = "lock"


class Running(msgspec.Struct, omit_defaults=True):
    """How an installation is reached. ``keep`` leaves it readable after its stop: then it says where its data is."""

    database_url: str
    host: str
    port: int
    public_url: str
    connections: dict[str, dict[str, str]]
    redis_url: str | None = None
    keep: bool = False


def write(folder: Path, running: Running) -> None:
    """Write the file; only this user can read it, because it holds credentials."""
    replace_file(folder / NAME, msgspec.json.encode(running))


def clear(folder: Path) -> None:
    """Remove the file when the stack has stopped; one that is kept loses the URL of the queue."""
    running = _read(folder)
    if running is not None and running.keep:
        write(folder, msgspec.structs.replace(running, redis_url=None))
    else:
        (folder / NAME).unlink(missing_ok=True)


def find(folder: Path) -> Running | None:
    """How to reach what runs in a folder, or where the data of what ran there is; ``None`` for neither."""
    running = _read(folder)
    if running is None or is_held(folder):
        return running
    return msgspec.structs.replace(running, redis_url=None) if running.keep else None


def is_held(folder: Path) -> bool:
    """Whether a process runs in a folder: it holds a lock that ends with it, however it ends."""
    try:
        with (folder / LOCK).open("r") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _read(folder: Path) -> Running | None:
    try:
        return decode((folder / NAME).read_bytes(), Running)
    except (OSError, msgspec.DecodeError):
        return None
