"""The answers of the simulated API, and Square's error bodies."""

from typing import Any

from starlette.responses import Response

from app.sources.simulating.answers import Json, json_response


class ApiError(Exception):
    """An answer with an ``errors`` list."""

    def __init__(self, status: int, category: str, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        entry = {"category": category, "code": code, "detail": detail, **({"field": field} if field else {})}
        self.body = {"errors": [entry]}

    def response(self) -> Response:
        """The answer itself."""
        return json_response(self.body, self.status)


def invalid(detail: str, code: str = "INVALID_VALUE", field: str | None = None) -> ApiError:
    """A 400 about one field of the request."""
    return ApiError(400, "INVALID_REQUEST_ERROR", code, detail, field)


def not_found(detail: str) -> ApiError:
    """A 404 as the vendor spells it, in a list of errors."""
    return ApiError(404, "INVALID_REQUEST_ERROR", "NOT_FOUND", detail)


def reply(**fields: Any) -> Response:
    """An answer without null and empty fields, which Square leaves out."""
    return json_response(without_nothing(fields))


def without_nothing(body: Json) -> Json:
    """An object without null and empty fields."""
    return {name: value for name, value in body.items() if value not in (None, [], {}, "")}
