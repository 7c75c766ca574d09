"""Questions at the terminal, on standard error; where nobody can answer, the defaults count."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from app.errors import BadConfiguration, Refused
from app.sources.setup import Question

KEEP = "as it is"


def can_ask(*, never: bool) -> bool:
    """Whether somebody sits at the terminal, and is to be asked."""
    return not never and sys.stdin.isatty()


def pairs(given: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` as told on the command line; ``NAME=@FILE`` is what the file holds, so that no secret stands there."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{name.strip() or text!r} has no value; write --set NAME=VALUE or NAME=@FILE")
        found[name.strip().lower()] = _of_file(Path(value[1:])) if value.startswith("@") else value.strip()
    return found


def answers(
    questions: Sequence[Question], known: Mapping[str, str], *, ask: bool, again: bool = False
) -> dict[str, str]:
    """An answer to each question: what is ``known``, else what a person says, else its default.

    With ``again`` a person is also asked for what is known, which stays where the answer is empty. Raises
    ``BadConfiguration`` naming every option that nobody gave."""
    found = {name: value for name, value in known.items() if value}
    for one in questions:
        if ask and (again or one.option not in found):
            found[one.option] = asked(one, found.get(one.option))
        elif one.default and one.option not in found:
            found[one.option] = one.default
    lacking = [one for one in questions if one.default is None and not found.get(one.option)]
    if lacking:
        told = ", ".join(f"--set {one.option}=..." for one in lacking)
        raise BadConfiguration(f"missing: {told} (=@FILE reads it from a file)")
    return {name: value for name, value in found.items() if value}


def asked(one: Question, before: str | None = None) -> str:
    """What a person answers; empty answers leave what was there ``before``."""
    words = f"{one.words} ({', '.join(one.choices)})" if one.choices else one.words
    while True:
        answer = _prompted(one, words, before)
        if one.choices and answer not in one.choices:
            typer.echo(f"one of {', '.join(one.choices)}", err=True)
        elif answer or one.default is not None:
            return answer


def _prompted(one: Question, words: str, before: str | None) -> str:
    """Of a secret that there is already nothing is shown."""
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
        raise Refused(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from error
