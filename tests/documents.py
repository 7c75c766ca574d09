"""The documents as tests read them: their text, code, tables and headings."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)
"""What describes Tallyhook as it is; the changelog tells how it was."""

_FENCE = re.compile(r"^ *```[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")


def read(name: str) -> str:
    """A document by its path from the root."""
    return (ROOT / name).read_text()


def prose(text: str) -> str:
    """A document without its blocks of code."""
    return _FENCE.sub("", text)


def spans(text: str) -> list[str]:
    """What stands between backticks in running text."""
    return _SPAN.findall(prose(text))


def lines_with_code(text: str) -> Iterator[str]:
    """The code of a document, line by line: the spans of each line of text, and each line of a block."""
    for line in prose(text).splitlines():
        yield "\n".join(_SPAN.findall(line))
    for block in _FENCE.findall(text):
        yield from (line.partition("#")[0] for line in block.splitlines())


def section(name: str, heading: str) -> str:
    """The text below a heading, up to the next one of its level."""
    level = heading.partition(" ")[0]
    match = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", read(name), re.MULTILINE | re.DOTALL
    )
    assert match, f"{name} has no {heading!r}"
    return match[1]


def rows(text: str) -> list[list[str]]:
    """The rows of the tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    ruled = [at for at, line in enumerate(lines) if set(line) <= set("|-: ")]
    heads = {*ruled, *(at - 1 for at in ruled)}
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")] for at, line in enumerate(lines) if at not in heads
    ]


def first_words(text: str) -> set[str]:
    """The code in the first column of the tables in a text."""
    return {word for row in rows(text) for word in spans(row[0])}


def anchors(text: str) -> set[str]:
    """The anchors that a document's headings have on GitHub."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
