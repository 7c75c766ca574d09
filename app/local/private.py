"""What Tallyhook writes is its own user's: databases hold password hashes, deliveries bodies, logs what vendors said."""

from __future__ import annotations

import os
from pathlib import Path

from app.errors import BadConfiguration


def keep_private() -> None:
    """From now on this process, and those it starts, make files that only their user may read (0600, folders 0700)."""
    os.umask(0o077)


def close_folder(folder: Path) -> None:
    """Make a folder, or close one that is there: an older version left it open to all (0755). Somebody else's, as a
    mounted volume is, stays as it is. Raises ``BadConfiguration`` where there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o700)
    except OSError as error:
        raise BadConfiguration(
            f"the data folder {folder} cannot be used: {error.strerror}; name another one (TALLYHOOK_DATA_DIR)"
        ) from None
