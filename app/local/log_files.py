"""Keeps the log files of child processes small: copies a large one away and truncates it.

A child keeps its file open and appends to it, so logging never makes it wait. Only lines that it writes between the last
copy and the truncation can be lost.
"""

import os
from pathlib import Path

LARGEST = 10 * 1024 * 1024
"""Bytes; a larger file is truncated."""

KEEP = 4
"""How many older parts are kept: ``web.log.1`` is the latest."""

_PIECE = 1024 * 1024
_TAIL = 64 * 1024


def rotate(log: Path, *, largest: int = LARGEST, keep: int = KEEP) -> bool:
    """Truncate a file that is too large, also while it is written to; returns whether it did.

    When the disk has no room for the copy, the file stays as it is.
    """
    try:
        if log.stat().st_size <= largest:
            return False
        _rotate(log, keep)
    except OSError:
        _part(log).unlink(missing_ok=True)
        return False
    return True


def last_lines(log: Path, lines: int) -> str:
    """The last lines that were written, also if the file was truncated a moment ago; "" without a file."""
    text = _tail(log)
    if text.count(b"\n") < lines:
        text = _tail(_older(log, 1)) + text
    return "\n".join(text.decode(errors="replace").splitlines()[-lines:])


def _rotate(log: Path, keep: int) -> None:
    with log.open("r+b") as source, _part(log).open("wb") as copy:
        while piece := source.read(_PIECE):
            copy.write(piece)
        copy.flush()
        for number in range(keep, 1, -1):
            if _older(log, number - 1).exists():
                os.replace(_older(log, number - 1), _older(log, number))
        os.replace(_part(log), _older(log, 1))
        while piece := source.read(_PIECE):  # written meanwhile
            copy.write(piece)
            copy.flush()
        source.truncate(0)


def _older(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def _part(log: Path) -> Path:
    return log.with_name(f"{log.name}.part")


def _tail(file: Path) -> bytes:
    try:
        with file.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
            return log.read()
    except OSError:
        return b""
