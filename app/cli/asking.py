"""Questions at the terminal, on standard error; where nobody can answer, the defaults apply."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from app.errors import BadConfiguration, InvalidRequest
from app.sources.setup import Question

KEEP = "as it is"


def can_ask(*, never: bool) -> bool:
    """Whether a person sits at the terminal and may be asked."""
    return not never and sys.stdin.isatty()


def pairs(given: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` from the command line; ``NAME=@FILE`` reads it from a file, so that no secret is typed."""
    options: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{name.strip() or text!r} has no value; write --set NAME=VALUE or NAME=@FILE")
        options[name.strip().lower()] = _of_file(Path(value[1:])) if value.startswith("@") else value.strip()
    return options


def answers(
    questions: Sequence[Question], known: Mapping[str, str], *, ask: bool, again: bool = False
) -> dict[str, str]:
    """An answer to each question: the ``known`` one, else a person's, else the default.

    With ``again`` a person is also asked for known answers; an empty answer keeps the known one. Raises
    ``BadConfiguration`` that names every missing option."""
    options = {name: value for name, value in known.items() if value}
    for one in questions:
        if ask and (again or one.option not in options):
            options[one.option] = ask_person(one, options.get(one.option))
        elif one.default and one.option not in options:
            options[one.option] = one.default
    lacking = [one for one in questions if one.default is None and not options.get(one.option)]
    if lacking:
        missing = ", ".join(f"--set {one.option}=..." for one in lacking)
        raise BadConfiguration(f"missing: {missing} (=@FILE reads it from a file)")
    return {name: value for name, value in options.items() if value}


def ask_person(one: Question, before: str | None = None) -> str:
    """A person's answer; an empty one keeps the value from ``before``."""
    words = f"{one.words} ({', '.join(one.choices)})" if one.choices else one.words
    while True:
        answer = _prompted(one, words, before)
        if one.choices and answer not in one.choices:
            typer.echo(f"one of {', '.join(one.choices)}", err=True)
        elif answer or one.default is not None:
            return answer


def _prompted(one: Question, words: str, before: str | None) -> str:
    """A secret that is already set is not shown."""
    if one.is_secret:
        shown = KEEP if before else ""
        said = typer.prompt(words, default=shown, hide_input=True, show_default=bool(before), err=True)
        return before if before and said == KEEP else str(said).strip()
    default = before or one.default or ""
    return str(typer.prompt(words, default=default, show_default=bool(default), err=True)).strip()


def _of_file(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}"
        ) from error
