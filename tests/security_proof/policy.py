"""Reads the table of SECURITY.md."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

_ROW = re.compile(r"^\| (?P<threat>[^|]+?) \| (?P<guard>[^|]+?) \| (?P<tests>`tests/[^|]+?) \|$", re.MULTILINE)


class Row(NamedTuple):
    """A threat, what stands against it, and the files of the tests that cover it."""

    threat: str
    guard: str
    tests: tuple[str, ...]


def rows() -> list[Row]:
    """Every row, in its order."""
    text = (ROOT / "SECURITY.md").read_text()
    return [
        Row(one["threat"], one["guard"], tuple(re.findall(r"`([^`]+)`", one["tests"]))) for one in _ROW.finditer(text)
    ]
