"""Archived entries of the audit log as files: one JSON object a line, each with its links of the chain."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from app.domain.decoding import decode
from app.rules.access.chain import Entry


def write(folder: Path, entries: Sequence[Entry]) -> str:
    """Write entries to their file, and return its name.

    The file is on the disk before this returns, whole or not at all. The same entries make the same file, so any
    number of processes may write it at once, and again after one was killed. Raises ``OSError``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"audit-{entries[0].number}-{entries[-1].number}.jsonl"
    handle, part = tempfile.mkstemp(dir=folder, prefix=f"{name}.", suffix=".part")
    with os.fdopen(handle, "wb") as file:
        file.writelines(msgspec.json.encode(entry) + b"\n" for entry in entries)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, folder / name)
    _sync(folder)
    return name


def read(folder: Path, name: str) -> Iterator[Entry]:
    """The entries of a file, oldest first. Raises ``OSError`` when it cannot be read, and ``ValueError`` for a line that is
    not an entry."""
    with (folder / name).open("rb") as file:
        for line in file:
            try:
                yield decode(line, Entry)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise ValueError(f"{line[:80]!r} is not an entry") from error


def _sync(folder: Path) -> None:
    """Write the folder's list of files to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
