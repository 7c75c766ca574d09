"""Parses a request, or answers 400 and says what would be right."""

import asyncio
import re
from collections.abc import Mapping, Set
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
from starlette.requests import Request

from app.domain.decoding import convert
from app.web.api.operation import Operation, Parameter
from app.web.api.params import Params, check
from app.web.problems import Problem
from app.web.webhooks import CutShort, Limits, TooLarge, read_body

MOST_PARAMETERS = 100

_read = msgspec.json.Decoder(float_hook=lambda text: _whole(float(text))).decode
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_PLACE = re.compile(r"at `\$\.(\w+)")


async def arguments_of(request: Request, operation: Operation, limits: Limits) -> tuple[Any, ...]:
    """The arguments that ``Operation.call`` takes; raises ``Problem``."""
    _check_path(request)
    of_query = operation.of_query()
    query = _query(request, {one.name for one in of_query})
    path = [_value(operation, one, str(request.path_params[one.name])) for one in operation.of_path()]
    if operation.in_body:
        return *path, _decoded(operation, await body_of(request, limits))
    if operation.params is Params:
        return tuple(path)
    given = {one.attribute: _value(operation, one, query[one.name]) for one in of_query if one.name in query}
    return *path, _checked(operation.params(**given))


def _check_path(request: Request) -> None:
    """Refuse a path that is not UTF-8: the server replaces such bytes, and the wrong item would be fetched."""
    try:
        unquote_to_bytes(request.scope["raw_path"]).decode()
    except UnicodeDecodeError:
        raise _bad("the path is not UTF-8") from None


def _query(request: Request, names: Set[str]) -> dict[str, str]:
    try:
        text = request.scope["query_string"].decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise _bad(f"the query must be URL-encoded UTF-8 with at most {MOST_PARAMETERS} parameters") from None
    for name, _ in pairs:
        if name not in names:
            raise _bad(f"unknown parameter `{name}`; use one of: {', '.join(sorted(names)) or 'none'}")
    if len(dict(pairs)) < len(pairs):
        raise _bad("a parameter is given twice")
    return dict(pairs)


def _value(operation: Operation, one: Parameter, text: str) -> Any:
    """A parameter's value: the text itself where a text is wanted, else the number or truth it spells."""
    for value in (text, _literal(text)):
        try:
            return convert(value, one.type)
        except msgspec.ValidationError as error:
            wrong = str(error)
    raise _bad(f"{wrong} - at `{one.name}`{_choices(operation, one.name)}")


def _literal(text: str) -> Any:
    if _NUMBER.fullmatch(text):
        return int(text)
    return {"true": True, "false": False}.get(text, text)


async def body_of(request: Request, limits: Limits) -> bytes:
    """The body, within the limits of size and time; raises ``Problem``."""
    try:
        async with asyncio.timeout(limits.seconds):
            return await read_body(request.headers.get("content-length", ""), request.receive, limits.body)
    except TooLarge:
        raise Problem(413, "too_large", f"a body may have at most {limits.body} bytes") from None
    except TimeoutError:
        raise Problem(408, "too_slow", f"the body must arrive within {limits.seconds:g} s") from None
    except CutShort:
        raise Problem(400, "cut_short", "the sender went away before the body was complete") from None


def _decoded(operation: Operation, body: bytes) -> Any:
    try:
        return _checked(convert(_read(body.strip() or b"{}"), operation.params))
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, ValueError):  # each value is right, but not together with the others
            raise Problem(422, "refused", str(error)) from None
        place = _PLACE.search(str(error))
        raise _bad(f"{error}{_choices(operation, place[1] if place else None)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _bad(f"the body must be a JSON object with {_names(operation)}, in UTF-8") from None


def _whole(number: float) -> float | int:
    """Accept 2026.0 as an integer, as JSON Schema does, and languages with only one sort of number."""
    return int(number) if number.is_integer() else number


def _checked(params: Any) -> Any:
    try:
        check(params)
    except ValueError as error:
        raise _bad(str(error)) from None
    return params


def _choices(operation: Operation, name: str | None) -> str:
    """What would be right: the values of an enumeration, or the names of the fields."""
    if name is None:
        return f"; use one of: {_names(operation)}"
    types = {field.encode_name: field.type for field in msgspec.structs.fields(operation.params)}
    enums = list(_enums(msgspec.json.schema(types[name]))) if name in types else []
    return f"; use one of: {', '.join(map(str, enums))}" if enums else ""


def _enums(schema: Any) -> Any:
    """The values of every enumeration in a schema."""
    if isinstance(schema, Mapping):
        yield from schema.get("enum", ())
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _enums(part) if isinstance(part, (Mapping, list)) else ()


def _names(operation: Operation) -> str:
    return ", ".join(field.encode_name for field in msgspec.structs.fields(operation.params))


def _bad(message: str) -> Problem:
    return Problem(400, "bad_request", message)
