"""A batch as the guard sees it; its old rows are read a few hundred at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import select

from app.domain import Kind, Record, batches
from app.rules.guard.findings import Finding, Trait
from app.rules.guard.traits import OldListing
from app.stores.catalog import Key
from app.stores.catalog import catalog_sql as sql
from app.stores.sql.engine import Database
from app.stores.tables import CATALOG

CHUNK = 500

Old = TypeVar("Old")


class Zeros(NamedTuple):
    """Our rows at zero, and those of them that a read has shown: this tells whether the source lists zeros."""

    here: int = 0
    shown: int = 0


NO_ZEROS = Zeros()


@dataclass(frozen=True)
class Batch:
    """Records of one kind to write, and keys of rows that vanish (with ``zero``: become zero).

    ``read`` is how many records a complete read showed, ``None`` for an incomplete one; ``first``: the kind was never read
    before. ``usual`` is how many rows a day usually brings, by measure. ``asked``: the items were fetched by id, so that
    fetching some of them proves nothing. ``remapped``: this release maps the kind differently than the one that read our
    rows. ``trickled`` are other products as they were before recent changes, by external id: they are judged as if they
    changed now.
    """

    kind: Kind
    records: Sequence[Sequence[Record]]
    vanished: Sequence[Key] = ()
    read: int | None = None
    zero: bool = False
    first: bool = False
    asked: bool = False
    remapped: bool = False
    zeros: Zeros = NO_ZEROS
    usual: Mapping[str, int] = field(default_factory=dict)
    trickled: Mapping[str, OldListing] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Record]:
        return chain.from_iterable(self.records)


class JudgedRow(NamedTuple):
    """A record, or the key of a row that vanishes, and what the batch does to the row."""

    key: Key
    record: Record | None
    traits: Trait


class Judge(Protocol):
    """Judges the batches of one kind."""

    def findings(self) -> list[Finding]:
        """The findings of rules that hold the batch implausible."""

    def changes(self) -> dict[str, int]:
        """How many rows the batch would change, by measure."""

    def rows(self) -> Iterator[JudgedRow]:
        """Every row that the batch would write, in its order; vanishing rows come last."""


def with_old(
    database: Database,
    connection: str,
    kind: Kind,
    items: Iterable[Any],
    columns: Sequence[str],
    make: Callable[..., Old],
    item_key: Callable[[Any], Key],
) -> Iterator[tuple[Any, Old | None]]:
    """Each item with some columns of its row, ``None`` if there is no row."""
    for chunk in batches(items, CHUNK):
        old = _old_rows(database, connection, kind, [item_key(item) for item in chunk], columns)
        for item in chunk:
            row = old.get(item_key(item))
            yield item, None if row is None else make(*row)


def _old_rows(
    database: Database, connection: str, kind: Kind, keys: Sequence[Key], columns: Sequence[str]
) -> dict[Key, tuple[Any, ...]]:
    """Selects by the first part of the keys, so that one index serves every kind."""
    table = CATALOG[kind]
    names = sql.shape(kind).keys
    query = select(*(table.c[name] for name in (*names, *columns))).where(
        table.c.connection == connection, table.c[names[0]].in_({key[0] for key in keys})
    )
    with database.read() as conn:
        return {tuple(row[: len(names)]): tuple(row[len(names) :]) for row in conn.execute(query)}
