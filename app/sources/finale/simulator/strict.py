"""Refuses requests that the account cannot accept: methods, query parameters, bodies."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from app.sources.simulating import answers


class BadRequest(ValueError):
    """Something unknown or unreadable; answered 400 with this message."""


class NotFound(Exception):
    """A path or a record that does not exist; answered with Finale's 404 page."""


class Illegal(Exception):
    """Something that the record's state or the key does not allow; answered 403 with this message."""


class WrongMethod(Exception):
    """A method that the path does not have; answered 405."""

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(f"only {', '.join(allowed)}")
        self.allowed = allowed


def only_methods(request: Request, *allowed: str) -> None:
    """Raises ``WrongMethod`` for any other."""
    if request.method not in allowed:
        raise WrongMethod(allowed)


def parameters(request: Request, *known: str) -> dict[str, str]:
    """The query parameters; raises ``BadRequest`` for one that is unknown or given twice."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise BadRequest(f"Unknown query parameter {name!r}")
        if name in given:
            raise BadRequest(f"Query parameter {name!r} is given twice")
        given[name] = value
    return given


def positive(text: str | None, what: str) -> int | None:
    """A positive whole number, ``None`` for ``None``; raises ``BadRequest`` naming ``what`` it is."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text)):
        raise BadRequest(f"{what} must be a positive whole number, not {text!r}")
    return int(text)


async def object_in(request: Request) -> dict[str, Any]:
    """The JSON object in a body, an empty one in an empty body; raises ``BadRequest`` for anything else."""
    try:
        return await answers.object_in(request)
    except ValueError as error:
        raise BadRequest(f"The body must be a JSON object: {error}") from error


async def login_in(request: Request) -> tuple[str, str]:
    """Name and password, as JSON or as a form; raises ``BadRequest`` where one is missing."""
    body = await request.body()
    is_form = "form" in request.headers.get("content-type", "")
    given = dict(parse_qsl(body.decode(errors="replace"))) if is_form else await object_in(request)
    only_fields("A login", given, ("username", "password"))
    name, password = text_of(given, "username"), text_of(given, "password")
    if not name or not password:
        raise BadRequest("A login needs username and password")
    return name, password


def only_fields(what: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Raises ``BadRequest`` for a field that is not known."""
    for name in given:
        if name not in known:
            raise BadRequest(f"{what} has no {name} that can be set")


def text_of(body: Mapping[str, Any], name: str, longest: int | None = None) -> str | None:
    """A text of at most ``longest`` characters, ``None`` for none; raises ``BadRequest``."""
    value = body.get(name)
    if value is not None and (not isinstance(value, str) or (longest is not None and len(value) > longest)):
        raise BadRequest(f"{name} must be a text" + (f" of at most {longest} characters" if longest else ""))
    return value


def number_of(name: str, value: Any) -> Decimal | None:
    """A JSON number, ``None`` for none; raises ``BadRequest``."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequest(f"{name} must be a number")
    return Decimal(str(value))


def objects_of(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects, an empty one for none; raises ``BadRequest``."""
    entries = body.get(name) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadRequest(f"{name} must be a list of objects")
    return entries
