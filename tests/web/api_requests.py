"""Requests made from the OpenAPI document: such as it allows, and such as it does not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
from hypothesis import strategies as st

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One request. ``raw`` is the body; path and query are encoded already."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None

    def send(self, client: httpx.Client) -> httpx.Response:
        return client.request(self.method, self.path, params=dict(self.query) or None, content=self.raw)


@dataclass(frozen=True)
class Described:
    """One operation of the document."""

    method: str
    path: str
    told: Schema
    components: Mapping[str, Schema]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def statuses(self) -> set[int]:
        """Every status that the document says it may have."""
        return {int(status) for status in self.told["responses"] if status.isdigit()}

    def allowed(self) -> st.SearchStrategy[Call]:
        """Requests that the document allows."""
        listed = self.told.get("parameters", [])
        values = {(one["in"], one["name"]): self._values(one["schema"]) for one in listed}
        required = {key: values[key] for key in values if key[0] == "path"}
        optional = {key: values[key] for key in values if key[0] == "query"}
        body = self._body()
        bodies = self._values(body) if body is not None else st.none()
        return st.builds(self._call, st.fixed_dictionaries(required, optional=optional), bodies)

    def odd(self) -> st.SearchStrategy[Call]:
        """Requests with anything at all in the places of parameters and body."""
        listed = [one["name"] for one in self.told.get("parameters", []) if one["in"] == "query"]
        names = st.sampled_from([*listed, "surprise"])
        parts = st.one_of(st.just("shop"), st.text(max_size=10), st.integers().map(str))
        slots = [one["name"] for one in self.told.get("parameters", []) if one["in"] == "path"]
        path = st.fixed_dictionaries({("path", name): parts for name in slots})
        query = st.dictionaries(st.tuples(st.just("query"), names), _VALUES, max_size=3)
        given = st.builds(lambda one, other: {**one, **other}, path, query)
        return st.builds(
            self._call, given, _JUNK, st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", self.method])
        )

    def _body(self) -> Schema | None:
        if "requestBody" not in self.told:
            return None
        schema: Schema = self.told["requestBody"]["content"]["application/json"]["schema"]
        return schema

    def _call(self, given: Mapping[tuple[str, str], Any], body: Any, method: str | None = None) -> Call:
        path = self.path
        for (place, name), value in given.items():
            if place == "path":
                path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        query = {name: _spelled(value) for (place, name), value in given.items() if place == "query"}
        raw = (
            body if isinstance(body, bytes) or body is None else httpx.Request("POST", "http://x", json=body).content
        )
        return Call(method or self.method, path, query, raw)

    def _values(self, schema: Schema) -> st.SearchStrategy[Any]:
        if "$ref" in schema:
            return self._values(self.components[schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return st.one_of(*map(self._values, schema["anyOf"]))
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        return self._of_type(schema)

    def _of_type(self, schema: Schema) -> st.SearchStrategy[Any]:
        match schema.get("type", "anything"):
            case "anything":
                return st.one_of(st.none(), st.integers(), st.text(max_size=5))
            case "array":
                return st.lists(self._values(schema.get("items", {})), max_size=min(4, schema.get("maxItems", 4)))
            case "null":
                return st.none()
            case "boolean":
                return st.booleans()
            case "integer":
                return st.integers(schema.get("minimum"), schema.get("maximum"))
            case "string":
                return _texts(schema)
            case "object":
                parts = {name: self._values(part) for name, part in schema["properties"].items()}
                required = {name: parts.pop(name) for name in schema.get("required", ())}
                return st.fixed_dictionaries(required, optional=parts)
        raise AssertionError(f"the document has a type that these requests do not know: {schema}")


def described(document: Schema) -> list[Described]:
    """The operations of a document."""
    components = document["components"]["schemas"]
    return [
        Described(method.upper(), path, told, components)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]


def _texts(schema: Schema) -> st.SearchStrategy[str]:
    match schema.get("format"):
        case "date-time":
            return st.datetimes(timezones=st.timezones()).filter(_is_rfc3339).map(lambda moment: moment.isoformat())
        case "date":
            return st.dates().map(str)
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", 30)
    pattern: str = schema.get("pattern", "")
    spelled = st.from_regex(pattern, fullmatch="pattern" in schema)
    return spelled.filter(lambda text: shortest <= len(text) <= longest)


def _is_rfc3339(moment: datetime) -> bool:
    """Its offset has whole minutes, unlike those of before the time of railways, and UTC's calendar has it."""
    offset = moment.utcoffset()
    assert offset is not None
    return offset.total_seconds() % 60 == 0 and 1 < moment.year < 9999


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_VALUES = st.one_of(
    st.text(max_size=10),
    st.integers().map(str),
    st.sampled_from(["", "null", "true", "NaN", "1e999", "-0", "\x00", "9" * 400, "0001-01-01T00:00:00+14:00"]),
)
_JUNK = st.one_of(
    st.none(),
    st.binary(max_size=30),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.dictionaries(st.sampled_from(["strategy", "limit", "filterYear", "from", "job", "cron"]), _VALUES, max_size=3),
    st.sampled_from([b"[" * 200_000, b'{"limit":' * 50_000, b'{"limit":' + b"9" * 5000 + b"}", b'{"limit":1e999}']),
)
