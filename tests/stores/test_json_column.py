"""A JSON column gives back what was put into it, in the shape that it was declared with."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, select, text

from app.stores.sql.columns import Json
from app.stores.sql.engine import Database


class Shape(msgspec.Struct, frozen=True):
    """Something with a field that JSON has no type for."""

    name: str
    at: datetime


VALUE = Shape("a", datetime(2026, 3, 1, 12, tzinfo=UTC))
TABLE = Table(
    "json_values", MetaData(), Column("id", Integer), Column("one", Json(Shape)), Column("many", Json(list[Shape]))
)


@pytest.fixture
def conn(database: Database) -> Iterator[Connection]:
    with database.begin() as conn:
        conn.execute(text("CREATE TEMPORARY TABLE json_values (id integer, one text, many text)"))
        yield conn
        conn.execute(text("DROP TABLE json_values"))


def kept(conn: Connection, **values: Any) -> Any:
    conn.execute(insert(TABLE).values(id=1, **values))
    return conn.execute(select(TABLE)).one()


def test_a_value_is_read_in_the_shape_of_its_column(conn: Connection) -> None:
    assert kept(conn, one=VALUE).one == VALUE


def test_a_list_of_values_is_read_in_the_shape_of_its_column(conn: Connection) -> None:
    assert kept(conn, many=[VALUE, VALUE]).many == [VALUE, VALUE]


def test_no_value_is_null(conn: Connection) -> None:
    assert kept(conn, one=None).one is None
    assert conn.execute(text("SELECT count(*) FROM json_values WHERE one IS NULL")).scalar() == 1


def test_a_text_of_another_shape_is_refused(conn: Connection) -> None:
    conn.execute(text("INSERT INTO json_values (id, one) VALUES (1, '{}')"))
    with pytest.raises(msgspec.ValidationError, match="name"):
        conn.execute(select(TABLE.c.one)).one()
