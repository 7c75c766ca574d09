"""Judges batches of kinds of which only numbers of rows matter: places, vendors, categories, orders."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select

from app.domain import key_of, row_hash
from app.rules.guard.findings import Finding, Trait
from app.rules.guard.guard import Impact, Limits, implausible
from app.rules.guard.usual import unusual
from app.stores.guard.batch import Batch, JudgedRow, with_old
from app.stores.sql.engine import Database
from app.stores.tables import CATALOG


@dataclass(frozen=True)
class CountJudge:
    """Judges by how many rows are added, changed and deleted."""

    database: Database
    connection: str
    batch: Batch
    limits: Limits
    checks: frozenset[str]

    def findings(self) -> list[Finding]:
        """The findings of rules that hold the batch implausible."""
        table = CATALOG[self.batch.kind]
        ours = select(func.count()).where(table.c.connection == self.connection, ~table.c.deleted)
        with self.database.read() as conn:
            total = conn.execute(ours).scalar_one()
        traits = [row.traits for row in self.rows()]
        created = sum(Trait.NEW in one for one in traits)
        deleted = sum(bool(one & (Trait.VANISHED | Trait.DELETED)) for one in traits)
        impact = Impact(total, self.batch.read, created, len(traits) - created - deleted, deleted=deleted)
        reason = implausible(impact, self.limits, self.checks)
        if reason is None:
            return []
        finding = Finding("number of rows", reason, Trait.ANY, {"rows": len(traits)}, "changed")
        return list(unusual([finding], self.batch.usual))

    def changes(self) -> dict[str, int]:
        """How many rows the batch would change, by measure."""
        return {"changed": sum(1 for _ in self.rows())}

    def rows(self) -> Iterator[JudgedRow]:
        """Every row that the batch would write."""
        columns = ("deleted", "version", "row_hash")
        kind = self.batch.kind
        for new, old in with_old(self.database, self.connection, kind, self.batch, columns, lambda *row: row, key_of):
            if old is None:
                yield JudgedRow(key_of(new), new, Trait.NEW | Trait.ANY)
            elif new.version >= old[1] and row_hash(new) != old[2]:
                ends = new.deleted and not old[0]
                yield JudgedRow(key_of(new), new, (Trait.DELETED if ends else Trait.NONE) | Trait.ANY)
        for key in self.batch.vanished:
            yield JudgedRow(key, None, Trait.VANISHED | Trait.ANY)
