"""Turns the terms of a filter into SQL conditions, for any kind of row, and reads a selection page by page."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, Table, and_, false, func, not_, or_, select, true

from app.rules.filters import FilterError, Term, choice_of, moment_of

Condition = Callable[[str], ColumnElement[bool]]
"""Makes the SQL condition for one value of a key."""


def conditions(terms: Iterable[Term], keys: Mapping[str, Condition]) -> list[ColumnElement[bool]]:
    """One condition per term; all must hold. Raises ``FilterError`` for a value that its key cannot have."""
    all_terms = []
    for term in terms:
        one = or_(false(), *[keys[term.key](value) for value in term.values])
        all_terms.append(not_(func.coalesce(one, false())) if term.negated else one)
    return all_terms


def equal_to(column: ColumnElement[Any]) -> Condition:
    """The column is the value."""
    return lambda value: column == value


def one_of(key: str, column: ColumnElement[Any], choices: Sequence[str]) -> Condition:
    """The column is the value, which must be one of the choices."""
    return lambda value: column == choice_of(key, value, choices)


def beginning(column: ColumnElement[Any]) -> Condition:
    """The column equals the value, or begins with it if the value ends in ``*``. A lone ``*`` is an id: the whole kind."""

    def condition(value: str) -> ColumnElement[bool]:
        open_ended = value.endswith("*") and value != "*"
        return column.startswith(value[:-1], autoescape=True) if open_ended else column == value

    return condition


def containing(column: ColumnElement[Any]) -> Condition:
    """The column contains the value, upper or lower case."""
    return lambda value: func.lower(column).contains(value.lower(), autoescape=True)


def from_on(column: ColumnElement[Any], now: datetime) -> Condition:
    """The column is at that moment or later."""
    return lambda value: column >= moment_of(value, now)


def up_to(column: ColumnElement[Any], now: datetime) -> Condition:
    """The column is before that moment."""
    return lambda value: column < moment_of(value, now)


def number(key: str, column: ColumnElement[Any]) -> Condition:
    """The column is that number."""

    def condition(value: str) -> ColumnElement[bool]:
        if not value.isascii() or not value.isdigit() or len(value) > 18:
            raise FilterError(f"{key}:{value} is not a number; right would be {key}:7")
        return column == int(value)

    return condition


def yes_or_no(key: str, holds: ColumnElement[bool]) -> Condition:
    """``yes``: the condition holds; ``no``: it does not."""
    return lambda value: holds if choice_of(key, value, ("yes", "no")) == "yes" else not_(holds)


def seen_by(column: ColumnElement[Any], connections: frozenset[str] | None) -> ColumnElement[bool]:
    """Rows of these connections only; ``None`` means all rows, also those of no connection."""
    return true() if connections is None else column.in_(sorted(connections))


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows of a table are wanted: those whose columns have the values of the fields of a subclass; ``None`` wants any.
    ``before_id`` continues after the last row of the page before."""

    limit: int = 50
    before_id: int | None = None


def page_of(table: Table, connection: str, wanted: Wanted, *conditions: ColumnElement[bool]) -> Select[Any]:
    """A page of a connection's rows, newest first."""
    values = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    equal = (table.c[name] == value for name, value in values.items() if name in table.c and name not in _MOMENTS)
    query = select(table).where(table.c.connection == connection, *equal, *conditions)
    return newest(query, table.c.id, wanted.limit, wanted.before_id)


_MOMENTS = ("since", "until")


def between(at: ColumnElement[Any], since: datetime | None, until: datetime | None = None) -> ColumnElement[bool]:
    """The moment is not before ``since`` and before ``until``, where these are given."""
    return and_(true() if since is None else at >= since, true() if until is None else at < until)


def newest(query: Select[Any], key: ColumnElement[int], limit: int, before: int | None) -> Select[Any]:
    """A page of a selection, newest first; ``before`` is the key of the last row of the page before."""
    if before is not None:
        query = query.where(key < before)
    return query.order_by(key.desc()).limit(limit)


def older(conn: Connection, at: ColumnElement[Any], id: ColumnElement[int], row_id: int) -> ColumnElement[bool]:
    """Rows that come after this one where the newest by a moment, then by id, comes first."""
    moment = conn.execute(select(at).where(id == row_id)).scalar()
    if moment is None:  # it was removed meanwhile
        return id < row_id
    return and_(at <= moment, or_(at < moment, id < row_id))  # the moment first, for its index
