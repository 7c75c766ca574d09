"""Writes the OpenAPI 3.1 document from the operations."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from app.domain import JsonObject, Role
from app.web.api.operation import Operation, Parameter
from app.web.api.operations import OPERATIONS
from app.web.problems import JSON, Failure

_REF = "#/components/schemas/{name}"

ERRORS: Mapping[int, str] = {
    401: "no caller was named, or the token is unknown, expired or revoked",
    403: "the caller's role or connections do not suffice",
    400: "the request is not readable, or a value or name is wrong; the message says what would be right",
    404: "there is no such thing, or the caller may not see it",
    408: "the body did not arrive in time",
    409: "the state of the thing does not allow it; if another run is active, details say which",
    413: "the body is too large",
    422: "the request was understood, and cannot be carried out",
    429: "too many requests; try again after Retry-After seconds",
    503: "the database did not answer, or too many read much; try again after Retry-After seconds",
}
ALWAYS = (400, 401, 403, 404, 429, 503)

_PLAIN = {
    "/healthz": ("alive", "Does the process answer?", "it does"),
    "/": ("overview", "What is stored and owed", "per connection: rows, owed items, last event and run"),
    "/openapi.json": ("document", "This document", "the document"),
}

_OPEN = ("alive", "ready")
"""Operations that answer anybody."""

_TEXT = {"text/plain": {"schema": {"type": "string"}}}


def document(connections: Sequence[str], role: Role) -> JsonObject:
    """What a caller with this role may request about these connections, as JSON-ready values."""
    operations = [one for one in OPERATIONS if role.includes(one.least)]
    responses = [one.response for one in operations]
    bodies = [one.params for one in operations if one.in_body]
    types = list(dict.fromkeys([*responses, *bodies, Failure]))
    shapes, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(types, shapes, strict=True))
    paths: dict[str, JsonObject] = {path: {"get": _plain(*one)} for path, one in _PLAIN.items()}
    paths["/readyz"] = {"get": _readiness()}
    paths["/metrics"] = {"get": _plain("prometheus", "All figures for Prometheus", "its text format", _TEXT)}
    for one in operations:
        described = _operation(one, schema_of, _parameters(one, connections, components))
        paths.setdefault(one.url, {})[one.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tallyhook",
            "version": _version(),
            "description": "Bulk runs and the state of every connection. Times are UTC, quantities decimal texts.",
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }


def _operation(operation: Operation, schema_of: Mapping[Any, Any], parameters: list[JsonObject]) -> JsonObject:
    described: JsonObject = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs the role {operation.least}.",
        "parameters": parameters,
        "responses": _responses(operation, schema_of),
    }
    if operation.in_body:
        needed = any(field.required for field in msgspec.structs.fields(operation.params))
        described["requestBody"] = {"required": needed, "content": _json(schema_of[operation.params])}
    return described


def _responses(operation: Operation, schema_of: Mapping[Any, Any]) -> JsonObject:
    failure = _json(schema_of[Failure])
    good = {"description": operation.description, "content": _json(schema_of[operation.response])}
    if operation.status == 202 and "run" in getattr(operation.response, "__struct_fields__", ()):
        good["headers"] = {"Location": {"description": "where to watch the run", "schema": {"type": "string"}}}
    bad = {
        str(status): {"description": ERRORS[status], "content": failure} for status in {*ALWAYS, *operation.statuses}
    }
    other = {"description": "any other error", "content": failure}
    return {str(operation.status): good, **dict(sorted(bad.items())), "default": other}


def _parameters(operation: Operation, connections: Sequence[str], components: JsonObject) -> list[JsonObject]:
    """The parameters of an operation; the enumerations they use are added to the components."""
    listed = [*operation.of_path(), *operation.of_query()]
    shapes, used = msgspec.json.schema_components([one.type for one in listed], ref_template=_REF)
    components.update(used)
    parameters = [_parameter(one, shape) for one, shape in zip(listed, shapes, strict=True)]
    return [_connection(connections), *parameters] if operation.of_connection else parameters


def _parameter(one: Parameter, shape: JsonObject) -> JsonObject:
    schema = dict(shape)
    parameter = {"name": one.name, "in": one.place, "required": one.place == "path"}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    if one.default not in (msgspec.NODEFAULT, msgspec.UNSET):
        schema["default"] = one.default
    return {**parameter, "schema": schema}


def _connection(connections: Iterable[str]) -> JsonObject:
    known = list(connections)
    schema: JsonObject = {"type": "string", "enum": known} if known else {"type": "string", "minLength": 1}
    described = "the connection's slug"
    return {"name": "connection", "in": "path", "required": True, "description": described, "schema": schema}


def _plain(name: str, summary: str, description: str, content: Any = None) -> JsonObject:
    answer = {"description": description, "content": content or _json({"type": "object"})}
    described: JsonObject = {"operationId": name, "summary": summary, "responses": {"200": answer}}
    if name in _OPEN:
        return {**described, "security": []}
    refused = {str(status): {"description": ERRORS[status]} for status in (401, 403, 429)}
    return {**described, "responses": {**described["responses"], **refused}}


def _readiness() -> JsonObject:
    described = _plain("ready", "Can it do its work?", "it can; each check's finding")
    described["responses"]["503"] = {
        **described["responses"]["200"],
        "description": "it cannot; each check's finding",
    }
    return described


def _json(schema: Any) -> JsonObject:
    return {JSON: {"schema": schema}}


def _version() -> str:
    """The installed version; a clone may run without being installed."""
    try:
        return version("tallyhook")
    except PackageNotFoundError:
        return "0"
