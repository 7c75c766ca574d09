"""Makes files and folders that only their owner can read: they hold password hashes, payloads and logs."""

import os
from pathlib import Path

from app.errors import BadConfiguration


def keep_private() -> None:
    """Let this process and its children create files that only their owner can read (0600, folders 0700)."""
    os.umask(0o077)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, as a whole or not at all; raises ``OSError``."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)  # of one that was killed: a container's processes have the same numbers again
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def close_folder(folder: Path) -> None:
    """Create a folder that only its owner can read, or restrict one that an older version left readable (0755). A folder of
    another user, such as a mounted volume, stays as it is. Raises ``BadConfiguration`` when it cannot be created."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o700)
    except OSError as error:
        raise BadConfiguration(
            f"the data folder {folder} cannot be used: {error.strerror}; name another one (TALLYHOOK_DATA_DIR)"
        ) from None
