"""Explains in our words why an option or argument is refused: no wording of a library reaches a person."""

import re
from typing import Any

import typer
from typer.core import TyperGroup

from app.cli.examples import show_examples
from app.domain import JsonObject
from app.domain.nearest import nearest

_CHOICE = re.compile(r"'(.*)' is not one of (.*)\.")
_WORD = re.compile(r"'([^']*)'")


class Commands(TyperGroup):
    """The commands, each with examples; a refused value is explained in our words."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        show_examples(self)

    def invoke(self, ctx: Any) -> Any:
        """As every group does."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _said(error)
            raise


def _said(error: typer.BadParameter) -> str:
    details = getattr(error.__cause__, "errors", None)
    if details is None:
        return error.message
    detail: JsonObject = details()[0]
    value, limits = detail.get("input"), detail.get("ctx") or {}
    match detail.get("type"):
        case "int_parsing" | "int_from_float" | "int_type":
            return f"{value!r} is not a whole number"
        case "float_parsing" | "float_type":
            return f"{value!r} is not a number"
        case "greater_than_equal":
            return f"{value} is too small; right would be {limits['ge']} or more"
        case "less_than_equal":
            return f"{value} is too large; right would be {limits['le']} or less"
        case "value_error":
            return _choice(str(limits.get("error", error.message)))
    return error.message


def _choice(text: str) -> str:
    """``no 'fulll'; did you mean 'full'? use one of: ...`` for an unknown word."""
    match = _CHOICE.fullmatch(text)
    if match is None:
        return text
    known = _WORD.findall(match[2])
    meant = nearest(match[1], known)
    guess = f" did you mean {meant!r}?" if meant else ""
    return f"no {match[1]!r};{guess} use one of: {', '.join(known)}"
