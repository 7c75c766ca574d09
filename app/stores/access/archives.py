"""Archived entries of the audit log as files: one JSON object a line, each with its links of the chain."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec


def name_of(first: int, last: int) -> str:
    """The file of entries ``first`` to ``last``."""
    return f"audit-{first}-{last}.jsonl"


def write(folder: Path, entries: Sequence[Mapping[str, Any]]) -> str:
    """Write entries (as ``audit.chain`` gives them) to their file, and return its name.

    The file is on the disk before this returns, whole or not at all. The same entries make the same file, so any
    number of processes may write it at once, and again after one was killed. Raises ``OSError``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = name_of(entries[0]["number"], entries[-1]["number"])
    handle, part = tempfile.mkstemp(dir=folder, prefix=f"{name}.", suffix=".part")
    with os.fdopen(handle, "wb") as file:
        file.writelines(msgspec.json.encode(entry) + b"\n" for entry in entries)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, folder / name)
    _sync(folder)
    return name


def read(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """The entries of a file, oldest first, as ``audit.chain`` gives them.

    Raises ``OSError`` when it cannot be read, and ``ValueError`` for a line that is no entry.
    """
    with (folder / name).open("rb") as file:
        for line in file:
            try:
                entry = msgspec.json.decode(line, type=dict[str, Any])
                yield {**entry, "at": datetime.fromisoformat(entry["at"])}
            except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{line[:80]!r} is no entry") from error


def _sync(folder: Path) -> None:
    """Bring the folder's list of files to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
