"""Compares what the shop shows with what our tables hold, without any of our flows."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from app.domain import Kind, key_of, quantity
from app.prove.truth.life import SHOP, Life

_TABLES = {Kind.PRODUCT: "listings", Kind.STOCK: "stock"}
_NOT_CONTENT = ("version", "modified_at")
_SWITCHES = ("active", "deleted")
_AMOUNTS = ("quantity", "reorder_point", "reorder_quantity")

Content = Mapping[str, Mapping[str, Any]]


class Measured(NamedTuple):
    """The number of rows on either side, and the items (keys joined by "/") that differ."""

    rows: int
    differing: frozenset[str]

    @property
    def share(self) -> float:
        """The share of rows that are equal."""
        return 1.0 if not self.rows else 1 - len(self.differing) / self.rows


def measured(life: Life, kind: Kind) -> Measured:
    """Compare all content, row by row. A quantity of zero equals a missing row."""
    there, here = _there(life, kind), _here(life, kind)
    for one, other in ((there, here), (here, there)):
        for item in [item for item, row in one.items() if item not in other and row.get("quantity") == 0]:
            del one[item]
    union = {*there, *here}
    return Measured(len(union), frozenset(item for item in union if there.get(item) != here.get(item)))


def _there(life: Life, kind: Kind) -> dict[str, dict[str, Any]]:
    rows = {"/".join(key_of(record)): msgspec.structs.asdict(record) for record in life.shop.shown(kind)}
    return {
        item: {name: value for name, value in row.items() if name not in _NOT_CONTENT} for item, row in rows.items()
    }


def _here(life: Life, kind: Kind) -> dict[str, dict[str, Any]]:
    record = type(life.shop.shown(kind)[0])
    names = [name for name in record.__struct_fields__ if name not in _NOT_CONTENT]
    with life.database.read() as conn:
        sql = f"SELECT {', '.join(names)} FROM {_TABLES[kind]} WHERE connection = '{SHOP}'"
        rows = [dict(zip(names, row, strict=True)) for row in conn.exec_driver_sql(sql)]
    live = [{name: _plain(name, value) for name, value in row.items()} for row in rows if not row["deleted"]]
    return {"/".join(row[key] for key in record.key_fields): row for row in live}


def _plain(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _SWITCHES:
        return bool(value)
    return quantity(value) if name in _AMOUNTS else value
