"""The settings file: written as a whole or not at all, readable by its owner only, its other lines as they were."""

from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

from app.errors import Conflict, InvalidRequest
from app.local.private import replace_file


def names_in(path: Path) -> set[str]:
    """The names that a settings file sets; none if there is no file."""
    return {name.upper() for name in dotenv_values(path)}


def write(path: Path, settings: Mapping[str, str], *, drop: Iterable[str] = (), title: str = "") -> None:
    """Set these settings below a comment, and leave out those that ``drop`` names; every other line stays.

    The file has mode 0600 afterwards. Raises ``InvalidRequest`` for a value that no such file can hold, and ``Conflict``
    where the file cannot be written; then it is as it was.
    """
    gone = {name.upper() for name in (*drop, *settings)}
    kept = [line for line in _lines(path) if _name_of(line) not in gone]
    added = [f"{name}={_quoted(value)}" for name, value in settings.items()]
    text = "\n".join([*_without_blank_end(kept), *([f"# {title}"] if title else []), *added]) + "\n"
    _check(text, settings)
    try:
        replace_file(path.resolve(), text.encode())
    except OSError as error:
        raise Conflict(f"{path} cannot be written: {error.strerror}; nothing was changed") from error


def _lines(path: Path) -> list[str]:
    """Its settings and comments; a value in quotes may be of several lines, which stay together."""
    lines: list[str] = []
    for line in path.read_text().split("\n") if path.exists() else []:
        if lines and _is_open(lines[-1]):
            lines[-1] += f"\n{line}"
        else:
            lines.append(line)
    return lines


def _is_open(setting: str) -> bool:
    """Whether a quotation begins in a setting and does not end."""
    value = setting.partition("=")[2].strip()
    quote = value[:1]
    return quote in ("'", '"') and _name_of(setting) != "" and value.replace(f"\\{quote}", "").count(quote) == 1


def _name_of(line: str) -> str:
    name, equals, _ = line.partition("=")
    return "" if not equals or name.lstrip().startswith("#") else name.strip().removeprefix("export ").strip().upper()


def _without_blank_end(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return [*lines, ""] if lines else []


def _quoted(value: str) -> str:
    if value and all(sign.isalnum() or sign in "-_.:/,+=@%" for sign in value) and value.isascii():
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _check(text: str, settings: Mapping[str, str]) -> None:
    read = dotenv_values(stream=StringIO(text))
    for name, value in settings.items():
        if read.get(name) != value:
            raise InvalidRequest(
                f"the value of {name} cannot be kept in a settings file; set it in the environment instead"
            )
