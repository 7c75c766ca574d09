"""Reads requests as strictly as Square does: a value that does not fit a field is a 400 that names the field.

The codes are those of Square's ``ErrorCode``; the words are as they were seen where that is known ("`ASCS` is not a
valid enum value for `query.sort.order`.", "Field must not be greater than 50").
"""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from typing import TypeVar

import msgspec
from starlette.requests import Request

from app.domain.decoding import convert
from app.sources.simulating.answers import Json, object_in
from app.sources.square.simulator.answers import ApiError, invalid

Shape = TypeVar("Shape")

LATEST_VERSION = "2026-09-16"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SAID = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.DOTALL)
_EXPECTED = {
    "bool": ("EXPECTED_BOOLEAN", "Expected a boolean."),
    "int": ("EXPECTED_INTEGER", "Expected an integer."),
    "str": ("EXPECTED_STRING", "Expected a string."),
    "array": ("EXPECTED_ARRAY", "Expected an array."),
    "object": ("EXPECTED_OBJECT", "Expected an object."),
    "datetime": ("INVALID_TIME", "Expected an RFC 3339 timestamp."),
}
_COMPLAINTS = (
    (
        r"Object contains unknown field `(.+)`",
        "UNKNOWN_BODY_PARAMETER",
        "The parameter `{0}` is not recognized.",
        True,
    ),
    (r"Object missing required field `(.+)`", "MISSING_REQUIRED_PARAMETER", "Field must be set", True),
    (r"Invalid enum value '?(.*?)'?", "INVALID_ENUM_VALUE", "`{0}` is not a valid enum value for `{1}`.", False),
    (r"Invalid RFC3339 .*", "INVALID_TIME", "Expected an RFC 3339 timestamp.", False),
    (r"Expected `int` >= (-?\d+)", "VALUE_TOO_LOW", "Field must not be less than {0}", False),
    (r"Expected `int` <= (-?\d+)", "VALUE_TOO_HIGH", "Field must not be greater than {0}", False),
    (r"Expected `str` of length <= (\d+)", "VALUE_TOO_LONG", "Field must not be longer than {0}", False),
    (r"Expected `array` of length <= (\d+)", "ARRAY_LENGTH_TOO_LONG", "Cannot provide more than {0} {1}.", False),
    (r"Expected `array` of length >= 1", "ARRAY_EMPTY", "Field must not be empty", False),
)
"""msgspec's message, Square's code and detail, and whether the first match belongs to the field's path."""


async def request_body(request: Request, shape: type[Shape]) -> tuple[Json, Shape]:
    """A request's body as received (a cursor is bound to it), and as ``shape``; raises a 400."""
    parameters(request)
    try:
        body = await object_in(request)
    except ValueError as error:
        raise invalid(f"Expected a JSON object: {error}", "EXPECTED_JSON_BODY") from error
    try:
        return body, convert(body, shape)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from error


def parameters(request: Request, *known: str) -> dict[str, str]:
    """The query parameters; raises a 400 for one that is not known."""
    given = dict(request.query_params)
    if unknown := sorted(given.keys() - set(known)):
        raise invalid(f"Unknown query parameter `{unknown[0]}`.", "UNKNOWN_QUERY_PARAMETER", unknown[0])
    return given


def listed(given: Mapping[str, str], name: str) -> list[str]:
    """A comma-separated parameter."""
    return [one.strip() for one in given.get(name, "").split(",") if one.strip()]


def flag(given: Mapping[str, str], name: str) -> bool:
    """A parameter that is true or false."""
    text = given.get(name, "false").lower()
    if text not in ("true", "false"):
        raise invalid("Expected a boolean.", "EXPECTED_BOOLEAN", name)
    return text == "true"


def whole(given: Mapping[str, str], name: str) -> int | None:
    """A parameter that is a whole number."""
    text = given.get(name)
    if text is not None and not re.fullmatch(r"-?\d{1,19}", text):
        raise invalid("Expected an integer.", "EXPECTED_INTEGER", name)
    return None if text is None else int(text)


def one_of(values: Collection[str], known: Collection[str], name: str) -> None:
    """Raises a 400 for a value that is not known."""
    for value in values:
        if value not in known:
            raise invalid(f"`{value}` is not a valid enum value for `{name}`.", "INVALID_ENUM_VALUE", name)


def stamp(moment: datetime | None, default: int) -> int:
    """A moment in microseconds since 1970; without a time zone it is UTC."""
    if moment is None:
        return default
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    past = aware - _EPOCH
    return (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds


def version_of(request: Request) -> str:
    """The API version of a request; raises a 400 for one that does not exist."""
    version = request.headers.get("square-version", LATEST_VERSION)
    if not _is_version(version):
        raise invalid(f"The API version {version!r} is not supported.", "BAD_REQUEST", "Square-Version")
    return version


def check_version(text: str | None, field: str) -> None:
    """Raises a 400 for a field that is there and is no version of the API."""
    if text is not None and not _is_version(text):
        raise invalid("The API version is not valid.", "INVALID_VALUE", field)


def _is_version(text: str) -> bool:
    """Whether a text can be a version of the API: a date that is not in the future."""
    try:
        return date.fromisoformat(text).isoformat() == text <= LATEST_VERSION
    except ValueError:
        return False


def _refusal(message: str) -> ApiError:
    match = _SAID.fullmatch(message)
    said, path = (match[1], (match[2] or "").lstrip(".")) if match else (message, "")
    for pattern, code, detail, is_named in _COMPLAINTS:
        if match_ := re.fullmatch(pattern, said):
            words = match_.groups() or ("",)
            field = ".".join(filter(None, (path, words[0]))) if is_named else path
            return invalid(detail.format(words[0], field), code, field)
    expected = re.match(r"Expected `(\w+)", said)
    code, detail = _EXPECTED.get(expected[1] if expected else "", ("INVALID_VALUE", said))
    return invalid(detail, code, path)
