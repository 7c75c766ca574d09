"""Judges batches of kinds of which only numbers of rows matter: places, vendors, categories, orders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select

from app.domain import key_of, row_hash
from app.rules.guard.findings import Finding, Trait
from app.rules.guard.guard import Impact, Limits, implausible
from app.rules.guard.usual import unusual
from app.stores.guard.batch import Batch, JudgedRow, with_old
from app.stores.sql.engine import Database
from app.stores.tables import CATALOG


class CountJudge:
    """Judges by how many rows are added, changed and deleted."""

    def __init__(
        self, database: Database, connection: str, batch: Batch, limits: Limits, checks: frozenset[str]
    ) -> None:
        self._database = database
        self._connection = connection
        self._batch = batch
        self._limits = limits
        self._checks = checks

    def findings(self) -> list[Finding]:
        """The findings of rules that hold the batch implausible."""
        table: Any = CATALOG[self._batch.kind].__table__  # type: ignore[attr-defined]
        ours = select(func.count()).where(table.c.connection == self._connection, ~table.c.deleted)
        with self._database.read() as conn:
            total = conn.execute(ours).scalar_one()
        traits = [row.traits for row in self.rows()]
        created = sum(Trait.NEW in one for one in traits)
        deleted = sum(bool(one & (Trait.VANISHED | Trait.DELETED)) for one in traits)
        impact = Impact(total, self._batch.read, created, len(traits) - created - deleted, deleted=deleted)
        reason = implausible(impact, self._limits, self._checks)
        found = (
            [] if reason is None else [Finding("number of rows", reason, Trait.ANY, {"rows": len(traits)}, "changed")]
        )
        return list(unusual(found, self._batch.usual))

    def changes(self) -> dict[str, int]:
        """How many rows the batch would change, by measure."""
        return {"changed": sum(1 for _ in self.rows())}

    def rows(self) -> Iterator[JudgedRow]:
        """Every row that the batch would write."""
        columns = ("deleted", "version", "row_hash")
        for new, old in with_old(
            self._database, self._connection, self._batch.kind, self._batch, columns, lambda *row: row, key_of
        ):
            if old is None:
                yield JudgedRow(key_of(new), new, Trait.NEW | Trait.ANY)
            elif new.version >= old[1] and row_hash(new) != old[2]:
                ends = new.deleted and not old[0]
                yield JudgedRow(key_of(new), new, (Trait.DELETED if ends else Trait.NONE) | Trait.ANY)
        for key in self._batch.vanished:
            yield JudgedRow(key, None, Trait.VANISHED | Trait.ANY)
