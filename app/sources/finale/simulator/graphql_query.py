"""Reads a GraphQL query: selections with arguments, aliases and variables; no fragments, no directives."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_TOKEN = re.compile(r'[\s,]+|#[^\n]*|(?P<token>[A-Za-z_]\w*|"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?|[{}()\[\]:$!=])')


class QueryRefused(ValueError):
    """A query that is answered with ``errors`` and status 200."""


class Selection(msgspec.Struct, frozen=True):
    """One selected field: its name, alias, arguments and subfields."""

    name: str
    alias: str
    arguments: dict[str, Any]
    fields: "list[Selection]"

    def none_but(self, *known: str) -> None:
        """Raises ``QueryRefused`` for an argument that is not known."""
        for name in self.arguments:
            if name not in known:
                raise QueryRefused(f'Unknown argument "{name}" on field "{self.name}"')


def selections(query: str, variables: Mapping[str, Any]) -> list[Selection]:
    """The top-level selections of a query; raises ``QueryRefused`` for an invalid one."""
    return _Reader(_tokens(query), variables).document()


def _tokens(query: str) -> list[str]:
    tokens, at = [], 0
    while at < len(query):
        match = _TOKEN.match(query, at)
        if match is None:
            raise QueryRefused(f"Syntax Error: Unexpected character {query[at]!r}")
        at = match.end()
        if match["token"]:
            tokens.append(match["token"])
    return tokens


class _Reader:
    """Takes tokens one after the other."""

    def __init__(self, tokens: list[str], variables: Mapping[str, Any]) -> None:
        self._tokens = tokens[::-1]
        self._variables = variables

    def document(self) -> list[Selection]:
        if self._next() != "{":
            self._operation()
        selections = self._selections()
        if self._tokens:
            raise QueryRefused(f"Syntax Error: Unexpected {self._next()!r}, expected one query")
        return selections

    def _operation(self) -> None:
        """``query Name($first: Int!)``: names and types are ignored."""
        if self._take() != "query":
            raise QueryRefused("only queries are simulated")
        if self._next().isidentifier():
            self._take()
        if self._next() == "(":
            while self._take() != ")":
                pass

    def _selections(self) -> list[Selection]:
        self._expect("{")
        selections = [self._selection() for _ in self._until("}")]
        if not selections:
            raise QueryRefused("Syntax Error: Expected a field, found '}'")
        return selections

    def _selection(self) -> Selection:
        alias = name = self._name()
        if self._next() == ":":
            self._take()
            name = self._name()
        arguments = self._pairs("(", ")") if self._next() == "(" else {}
        return Selection(name, alias, arguments, self._selections() if self._next() == "{" else [])

    def _pairs(self, opening: str, closing: str) -> dict[str, Any]:
        self._expect(opening)
        arguments: dict[str, Any] = {}
        for _ in self._until(closing):
            name = self._name()
            self._expect(":")
            arguments[name] = self._value()
        return arguments

    def _value(self) -> Any:
        if self._next() == "{":
            return self._pairs("{", "}")
        word = self._take()
        if word == "[":
            return [self._value() for _ in self._until("]")]
        if word == "$":
            return self._variable(self._name())
        if word.isidentifier() and word not in ("true", "false", "null"):
            return word  # an enumeration's
        try:
            return msgspec.json.decode(word)
        except msgspec.DecodeError as error:
            raise QueryRefused(f"Syntax Error: Unexpected {word!r}, expected a value") from error

    def _variable(self, name: str) -> Any:
        if name not in self._variables:
            raise QueryRefused(f'Variable "${name}" is not defined')
        return self._variables[name]

    def _name(self) -> str:
        token = self._take()
        if not token.isidentifier():
            raise QueryRefused(f"Syntax Error: Expected a name, found {token!r}")
        return token

    def _until(self, closing: str) -> Iterator[None]:
        """One turn for each part before a closing token, which is taken too."""
        while self._next() != closing:
            yield
        self._take()

    def _expect(self, token: str) -> None:
        if (actual := self._take()) != token:
            raise QueryRefused(f"Syntax Error: Expected {token!r}, found {actual!r}")

    def _next(self) -> str:
        return self._tokens[-1] if self._tokens else ""

    def _take(self) -> str:
        if not self._tokens:
            raise QueryRefused("Syntax Error: Unexpected end of the query")
        return self._tokens.pop()
