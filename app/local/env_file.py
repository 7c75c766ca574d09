"""The settings file: written as a whole or not at all, readable by its owner only, its other lines as they were."""

from collections.abc import Iterable, Mapping, Set
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

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
    added = [f"{name}={_quoted(value)}" for name, value in settings.items()]
    kept = _without(path, {name.upper() for name in (*drop, *settings)})
    text = "\n".join([*([kept, ""] if kept else []), *([f"# {title}"] if title else []), *added]) + "\n"
    _check(text, settings)
    try:
        replace_file(path.resolve(), text.encode())
    except OSError as error:
        raise Conflict(f"{path} cannot be written: {error.strerror}; nothing was changed") from error


def _without(path: Path, gone: Set[str]) -> str:
    """What the file has beside these settings, without blank lines at its end."""
    text = path.read_text() if path.exists() else ""
    bindings = parse_stream(StringIO(text))
    return "".join(one.original.string for one in bindings if (one.key or "").upper() not in gone).rstrip()


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
