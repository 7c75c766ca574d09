"""Judges a batch of products by comparing it with the rows that it would overwrite."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import chain

from sqlalchemy import func, select

from app.domain import Kind, Listing, key_of, row_hash
from app.rules.guard.findings import GONE, Finding, Trait
from app.rules.guard.products import DECAY_DAYS, ProductEvidence, product_findings
from app.rules.guard.traits import OldListing, Taken, is_taken, product_traits
from app.stores.guard.batch import Batch, JudgedRow, with_old
from app.stores.sql.engine import Database
from app.stores.sql.statements import Statement, bound_list
from app.stores.tables import CATALOG

_table = CATALOG[Kind.PRODUCT]


class ProductJudge:
    """Judges a batch of products; ``evidence`` can be completed by what the source says (``flows.holds.plausible``)."""

    def __init__(self, database: Database, connection: str, batch: Batch, now: datetime) -> None:
        self._database = database
        self._connection = connection
        self._batch = batch
        self._now = now
        self._taken = Taken()
        self.evidence = self._gather()

    def findings(self) -> list[Finding]:
        """The findings of rules that hold the batch implausible."""
        return product_findings(self.evidence, first=self._batch.first, usual=self._batch.usual)

    def changes(self) -> dict[str, int]:
        """How many rows the batch would change, by measure."""
        seen = self.evidence
        ended = seen.vanished + seen.deleted + seen.inactive
        return {"ended": ended, "renamed": seen.unlike, "repriced": len(seen.factors), "added": seen.created}

    def rows(self) -> Iterator[JudgedRow]:
        """Every row that the batch would write."""
        for new, old in self._pairs():
            yield JudgedRow(key_of(new), new, self._traits(new, old) | Trait.ANY)
        for key in self._batch.vanished:
            yield JudgedRow(key, None, Trait.VANISHED | Trait.ANY)

    def _pairs(self) -> Iterator[tuple[Listing, OldListing | None]]:
        """Each record that is new or differs, with the row that we hold."""
        read = partial(with_old, self._database, self._connection, Kind.PRODUCT)
        for new, old in read(self._batch, OldListing._fields, OldListing, key_of):
            if old is None or (new.version >= old.version and row_hash(new) != old.row_hash):
                yield new, old

    def _trickled(self) -> Iterator[tuple[OldListing, OldListing]]:
        """Each product that changed recently, as it is now and as it was before."""
        read = partial(with_old, self._database, self._connection, Kind.PRODUCT)
        for (_, before), now in read(
            self._batch.trickled.items(), OldListing._fields, OldListing, lambda item: (item[0],)
        ):
            if now is not None and now.row_hash != before.row_hash:
                yield now, before

    def _gather(self) -> ProductEvidence:
        with self._database.read() as conn:
            ours = (_table.c.connection == self._connection, ~_table.c.deleted)
            total = conn.execute(select(func.count()).where(*ours)).scalar_one()
            active = conn.execute(select(func.count()).where(*ours, _table.c.active)).scalar_one()
        seen = ProductEvidence(total, active, self._batch.read, vanished=len(self._batch.vanished))
        self._taken = self._find_taken()
        for new, old in self._pairs():
            self._count(seen, new, old)
        for now, before in self._trickled():
            self._count(seen, now, before)
            seen.total += now.deleted
            seen.active += before.active and (now.deleted or not now.active)
        if seen.vanished or seen.deleted:
            seen.recent = self._recently_deleted()
        return seen

    def _count(self, seen: ProductEvidence, new: Listing | OldListing, old: OldListing | None) -> None:
        traits = self._traits(new, old)
        seen.created += old is None and not new.deleted
        seen.changed += old is not None
        seen.twins += Trait.TWIN in traits
        seen.deleted += Trait.DELETED in traits
        seen.inactive += Trait.INACTIVE in traits
        seen.unlike += Trait.UNLIKE in traits
        seen.shifted += Trait.SHIFTED in traits
        seen.emptied += Trait.EMPTIED in traits
        seen.currency += Trait.CURRENCY in traits
        if old is not None:
            seen.taken += Trait.UNLIKE in traits and is_taken(new, old, self._taken)
            if Trait.PRICED in traits:
                was, now = float(old.price_minor or 1), float(new.price_minor or 1)
                seen.factors.append(now / was)
                seen.cents.append(min(was, now))

    def _traits(self, new: Listing | OldListing, old: OldListing | None) -> Trait:
        """What the batch does to a product. If its version is the one we hold, a new release of Tallyhook has changed the
        record: then only an end is doubted."""
        traits = product_traits(new, old, self._taken)
        is_ours = self._batch.remapped and old is not None and old.version == new.version
        return traits & GONE if is_ours else traits

    def _find_taken(self) -> Taken:
        """New names, SKUs and barcodes of the batch that belong to other products which live, or lived before the recent
        changes; takes three statements."""
        names, skus, barcodes = set[str](), set[str](), set[str]()
        for new, old in chain[tuple[Listing | OldListing, OldListing | None]](self._pairs(), self._trickled()):
            was = (None, None, None) if old is None else (old.name, old.sku, old.barcode)
            now = (new.name, new.sku, new.barcode)
            for values, before, after in zip((names, skus, barcodes), was, now, strict=True):
                if after and after != before:
                    values.add(after)
        return Taken(self._live("name", names), self._live("sku", skus), self._live("barcode", barcodes))

    def _live(self, column: str, values: set[str]) -> frozenset[str]:
        if not values:
            return frozenset()
        trickled = self._batch.trickled
        alive = "FROM listings WHERE connection = :connection AND NOT deleted"
        statement = Statement(f"SELECT {column}, external_id {alive} AND {column} AMONG :values")
        with self._database.read() as conn:
            rows = statement.run(conn, {"connection": self._connection, "values": bound_list(conn, sorted(values))})
        live = {value for value, id in rows if id not in trickled}
        return frozenset(live | (values & {getattr(before, column) for before in trickled.values()}))

    def _recently_deleted(self) -> int:
        since = self._now - timedelta(days=DECAY_DAYS)
        query = select(func.count()).where(
            _table.c.connection == self._connection, _table.c.deleted, _table.c.written_at > since
        )
        with self._database.read() as conn:
            recent = int(conn.execute(query).scalar_one())
        return recent - sum(now.deleted for now, _ in self._trickled())


def live_ids(database: Database, connection: str, limit: int, without: Sequence[str] = ()) -> list[str]:
    """External ids of some live products, spread by their hashes, those ``without`` left out."""
    query = select(_table.c.external_id).where(
        _table.c.connection == connection, ~_table.c.deleted, _table.c.external_id.not_in(without)
    )
    with database.read() as conn:
        return list(conn.execute(query.order_by(_table.c.row_hash).limit(limit)).scalars())
