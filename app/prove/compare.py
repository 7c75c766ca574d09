"""Compares our tables with the truth of a shop in memory, row by row, without any of our flows."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from app.domain import RECORDS, Kind, Record, key_of
from app.prove.harm import Harm
from app.prove.shop import Key, Shop
from app.stores.tables import CATALOG


class Unreadable(Exception):
    """A row of ours cannot be read back."""


Row = Mapping[str, Any]


class Measured(NamedTuple):
    """The number of rows on either side, and the keys of those that differ."""

    rows: int
    differing: frozenset[Key]

    @property
    def share(self) -> float:
        """The share of rows that are equal."""
        return 1.0 if not self.rows else 1 - len(self.differing) / self.rows


def measured(conn: Connection, connection: str, kind: Kind, records: Iterable[Record]) -> Measured:
    """Compare all content of our rows and of the true records. A quantity of zero equals a missing row."""
    here = rows_here(conn, connection, kind)
    there = {key_of(record): _content(record) for record in records}
    for one, other in ((there, here), (here, there)):
        for key in [key for key, row in one.items() if key not in other and row.get("quantity") == 0]:
            del one[key]
    keys = here.keys() | there.keys()
    return Measured(len(keys), frozenset(key for key in keys if here.get(key) != there.get(key)))


def fields_of(kind: Kind) -> list[str]:
    """The fields that are compared: all content, but no versions and times."""
    return [one for one in RECORDS[kind].__struct_fields__ if one not in ("version", "modified_at", "deleted")]


def rows_here(conn: Connection, connection: str, kind: Kind) -> dict[Key, Row]:
    """Our live rows of a kind by key."""
    table = CATALOG[kind]
    names, keys = fields_of(kind), RECORDS[kind].key_fields
    wanted = select(*(table.c[name] for name in names)).where(table.c.connection == connection, ~table.c.deleted)
    try:
        return {tuple(row[name] for name in keys): dict(row) for row in conn.execute(wanted).mappings()}
    except ValueError as error:
        raise Unreadable(f"rows of {connection} {kind} cannot be read back: {error}") from error


def rows_there(shop: Shop, kind: Kind) -> dict[Key, Row]:
    """The source's rows of a kind by key."""
    return {key: _content(record) for key, record in shop.rows[kind].items()}


def _content(record: Record) -> Row:
    return {
        name: value
        for name, value in msgspec.structs.asdict(record).items()
        if name not in ("version", "modified_at", "deleted")
    }


def differences(conn: Connection, shop: Shop, kind: Kind) -> Iterator[tuple[Key, str]]:
    """The key of every row that differs, with a description."""
    here, there = rows_here(conn, shop.style.name, kind), rows_there(shop, kind)
    for key in sorted(here.keys() | there.keys()):
        mine, theirs = here.get(key), there.get(key)
        if mine is None:
            yield key, "is missing here"
        elif theirs is None:
            if not (kind is Kind.STOCK and mine["quantity"] == 0):
                yield key, "is gone at the source and lives here still"
        elif mine != theirs:
            differing = [name for name in theirs if mine[name] != theirs[name]]
            name = differing[0]
            yield key, f"{name} is {_short(mine[name])} here and {_short(theirs[name])} at the source"


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) < 50 else f"{shown[:50]}..."


def item_of(shop: Shop, kind: Kind, key: Key) -> str:
    """The id under which a row is owed."""
    if kind is Kind.PRODUCT and shop.style.varied:
        return key[0].partition("v")[0]
    return "*" if kind is Kind.STOCK and shop.style.seconds else key[0]


def was_bad(shop: Shop, kind: Kind, key: Key) -> bool:
    """Whether a row, or the item that it comes with, was bad at some time."""
    return not shop.ever_bad.isdisjoint({(kind, key[0]), (kind, item_of(shop, kind, key))})


def held_as_it_is(row: Row | None, record: Record, harm: Harm) -> bool:
    """Whether we store a bad record as the source has it (its texts with U+FFFD): then it need not be listed as
    failed."""
    if row is None or harm.unreadable:
        return False
    theirs = _content(harm.on(record))
    return all(_plain(row[name]) == _plain(theirs[name]) for name in theirs)


def _plain(value: object) -> object:
    return value.replace("\x00", "\ufffd").replace("\ud800", "\ufffd") if isinstance(value, str) else value


def wrong_rows(conn: Connection, shop: Shop, kind: Kind) -> list[Key]:
    """The keys of all rows that differ from the source, including bad ones unless we store them as they are."""
    here = rows_here(conn, shop.style.name, kind)
    wrong = {key for key, _ in differences(conn, shop, kind)}
    for (of, key), harm in shop.bad.items():
        if of is kind:
            (wrong.discard if held_as_it_is(here.get(key), shop.rows[kind][key], harm) else wrong.add)(key)
    return sorted(wrong)
