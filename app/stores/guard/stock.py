"""Judges a batch of stock counts: which counts fall to zero, and what explains it."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import NamedTuple

import msgspec
from sqlalchemy import func, select

from app.domain import ON_HAND, Kind, StockCount, batches, key_of, row_hash
from app.rules.guard.findings import Finding, Trait
from app.rules.guard.stock import FALL_FROM, LEFT_FROM, StockEvidence, stock_findings
from app.stores.catalog import Key
from app.stores.guard.batch import CHUNK, Batch, JudgedRow, with_old
from app.stores.guard.foreseen import NOTHING, Foreseen
from app.stores.sql.engine import Database
from app.stores.tables import CATALOG

ORDERS_WITHIN = timedelta(days=4)
"""Orders written in these days explain stock that left."""

MAX_ORDERS = 20_000

ORDERED_SHARE = 0.5
"""If this share of what left was ordered, orders explain it: they are partly shipped, and counts are corrected."""

MOVED_SHARE = 0.75
"""If this share of what left a place is elsewhere, a move explains it."""

TENS = (0.001, 0.01, 0.1, 10.0, 100.0, 1000.0)

_stock = CATALOG[Kind.STOCK]
_listings = CATALOG[Kind.PRODUCT]
_locations = CATALOG[Kind.LOCATION]
_orders = CATALOG[Kind.ORDER]


class OldCount(NamedTuple):
    """What we hold of a count."""

    quantity: Decimal
    deleted: bool
    version: int
    row_hash: int


class _Move(NamedTuple):
    """A row whose count changes; ``record`` is ``None`` if it vanishes."""

    key: Key
    record: StockCount | None
    before: float
    after: float
    is_new: bool


class _Line(msgspec.Struct):
    """What we read of an order's line."""

    listing_id: str | None = None
    quantity: float | None = None


_read_lines = msgspec.json.Decoder(list[_Line], strict=False).decode


def is_tenfold(before: float, after: float) -> bool:
    """Whether a count's decimal point moved."""
    return any(abs(after / before / ten - 1) < 0.001 for ten in TENS)


def _lines_of(text: str | None) -> list[_Line]:
    """The lines of an order; none if they cannot be decoded: such an order explains nothing."""
    try:
        return _read_lines(text or "[]")
    except msgspec.DecodeError:
        return []


class StockJudge:
    """Judges a batch of counts. ``held_products`` are ids of products whose end is held; ``account_held``: all products are
    held as another account's; ``foreseen`` is what would be written before the batch."""

    def __init__(
        self,
        database: Database,
        connection: str,
        batch: Batch,
        now: datetime,
        *,
        held_products: Collection[str] = (),
        account_held: bool = False,
        foreseen: Foreseen = NOTHING,
    ) -> None:
        self._database = database
        self._connection = connection
        self._batch = batch
        self._now = now
        self._held_products = {*held_products, *foreseen.held}
        self._foreseen = foreseen
        self._net: dict[str, float] = {}
        self._known: set[str] = set()
        self._has_products = False
        self._ended: set[str] = set()
        self._places, self._closed = self._locations()
        self._ordered: dict[str, float] | None = None
        self._account_held = account_held or foreseen.account_held
        self.evidence = self._gather()

    def findings(self) -> list[Finding]:
        """The findings of rules that hold the batch implausible."""
        return stock_findings(self.evidence, first=self._batch.first, usual=self._batch.usual)

    def changes(self) -> dict[str, int]:
        """How many rows the batch would change, by measure."""
        seen = self.evidence
        zeroed = {"zeroed": seen.zeroed, "full shelves": seen.falls, "left out": seen.omitted}
        return {**zeroed, "changed": seen.changed}

    def rows(self) -> Iterator[JudgedRow]:
        """Every row that the batch would write."""
        for move in self._moves():
            yield JudgedRow(move.key, move.record, self._traits(move) | Trait.ANY)

    def omitted(self) -> list[str]:
        """The products whose counts the read leaves out without an explanation."""
        traits = ((move.key[0], self._traits(move)) for move in self._moves() if move.record is None)
        return sorted({product for product, trait in traits if Trait.ZEROED in trait and product in self._known})

    def strangers(self, limit: int) -> list[str]:
        """Some of the counted products that we do not hold."""
        return sorted(product for product in self._net if product not in self._known)[:limit]

    def new_places(self, limit: int) -> list[str]:
        """Some of the places with counts that we do not hold."""
        places = {move.key[1] for move in self._moves() if Trait.UNKNOWN_PLACE in self._traits(move)}
        return sorted(places)[:limit]

    def opened(self, places: Collection[str]) -> None:
        """Judge again, now that these places are known to exist."""
        self._places.update(places)
        self.evidence = self._gather()

    def explain(self, ended: Collection[str]) -> None:
        """Judge again, now that these products are known to have ended."""
        self._ended.update(ended)
        self.evidence = self._gather()

    def _moves(self) -> Iterator[_Move]:
        read = partial(with_old, self._database, self._connection, Kind.STOCK)
        for new, old in read(self._batch, OldCount._fields, OldCount, key_of):
            if old is None or (new.version >= old.version and row_hash(new) != old.row_hash):
                before = 0.0 if old is None or old.deleted else float(old.quantity)
                yield _Move(key_of(new), new, before, 0.0 if new.deleted else float(new.quantity), old is None)
        for key, old in read(self._batch.vanished, OldCount._fields, OldCount, lambda key: key):
            yield _Move(key, None, 0.0 if old is None else float(old.quantity), 0.0, is_new=False)

    def _gather(self) -> StockEvidence:
        seen = self._totals()
        seen.account_held = self._account_held
        net: dict[str, float] = defaultdict(float)
        for move in self._moves():
            seen.touched += 1
            net[move.key[0]] += move.after - move.before if move.key[2] == ON_HAND else 0.0
        self._net = net
        self._look_up(net)
        left: Counter[str] = Counter()
        for move in self._moves():
            self._count(seen, move, left)
        seen.omitted_products = sum(units >= LEFT_FROM for units in left.values())
        return seen

    def _totals(self) -> StockEvidence:
        ours = (_stock.c.connection == self._connection, ~_stock.c.deleted, _stock.c.quantity > 0)
        on_hand = func.count().filter(_stock.c.state == ON_HAND)
        query = select(_stock.c.location_id, func.count(), func.sum(_stock.c.quantity), on_hand).where(*ours)
        with self._database.read() as conn:
            rows = conn.execute(query.group_by(_stock.c.location_id)).all()
        seen = StockEvidence(sum(count for _, count, _, _ in rows), float(sum(units for _, _, units, _ in rows)))
        seen.places = Counter({place: count for place, _, _, count in rows})
        seen.read = self._batch.read
        seen.zeros, seen.zeros_shown = self._batch.zeros
        return seen

    def _count(self, seen: StockEvidence, move: _Move, left: Counter[str]) -> None:
        traits = self._traits(move)
        if move.before > 0 and move.after <= 0:
            seen.all_zeroed += 1
        if Trait.ZEROED in traits:
            seen.zeroed += 1
            seen.zeroed_units += move.before
            seen.falls += move.before >= FALL_FROM
            seen.zeroed_at[move.key[1]] += move.key[2] == ON_HAND  # shipping orders empties what they had reserved
        if move.before > 0 and move.after > 0:
            seen.changed += 1
            seen.tens += is_tenfold(move.before, move.after)
        if move.before > 0 and move.after != move.before:
            seen.steps[round(move.after - move.before, 5)] += 1
        if move.record is None and Trait.ZEROED in traits:
            seen.omitted += 1
            seen.omitted_units += move.before
            seen.omitted_falls += move.before >= FALL_FROM
            left[move.key[0]] += int(move.before)
        seen.unknown_places += Trait.UNKNOWN_PLACE in traits
        seen.unknown_products += Trait.UNKNOWN_PRODUCT in traits
        seen.held_products += Trait.HELD_PRODUCT in traits

    def _traits(self, move: _Move) -> Trait:
        product, place, _ = move.key
        traits = Trait.NONE
        if move.before > 0 and move.after <= 0:
            if product in self._held_products:
                traits |= Trait.HELD_PRODUCT
            if not self._is_explained(move):
                traits |= Trait.ZEROED if move.record is not None else Trait.ZEROED | Trait.VANISHED
        elif move.before > 0:
            traits |= Trait.COUNTED
        if move.is_new and self._places and place not in self._places:
            traits |= Trait.UNKNOWN_PLACE
        if move.is_new and self._has_products and product not in self._known:
            traits |= Trait.UNKNOWN_PRODUCT
        return traits

    def _is_explained(self, move: _Move) -> bool:
        """Whether the units are elsewhere, the product or the place has ended, or an order took them."""
        product, place, _ = move.key
        if product in self._ended or place in self._closed:
            return True
        if self._net.get(product, 0.0) >= -(1 - MOVED_SHARE) * move.before:
            return True
        if self._ordered is None:
            self._ordered = self._recent_orders()
        return self._ordered.get(product, 0.0) >= ORDERED_SHARE * move.before

    def _recent_orders(self) -> dict[str, float]:
        """Units by product in recent sales."""
        query = select(_orders.c.lines).where(
            _orders.c.connection == self._connection,
            ~_orders.c.deleted,
            _orders.c.type == "sale",
            _orders.c.modified_at > self._now - ORDERS_WITHIN,
        )
        units: dict[str, float] = defaultdict(float)
        with self._database.read() as conn:
            for (lines,) in conn.execute(query.limit(MAX_ORDERS)):
                for line in _lines_of(lines):
                    units[line.listing_id or ""] += float(line.quantity or 0)
        return units

    def _look_up(self, products: Iterable[str]) -> None:
        """Find which of these products we hold, and which of them have ended."""
        query = select(_listings.c.external_id, _listings.c.deleted).where(_listings.c.connection == self._connection)
        with self._database.read() as conn:
            has_any = conn.execute(query.limit(1)).first() is not None
            self._has_products = has_any or bool(self._foreseen.created)
            for chunk in batches(products, CHUNK):
                for id, deleted in conn.execute(query.where(_listings.c.external_id.in_(chunk))):
                    self._known.add(id)
                    if deleted:
                        self._ended.add(id)
        self._known.update(self._foreseen.created)
        self._ended.update(self._foreseen.ended)

    def _locations(self) -> tuple[set[str], set[str]]:
        """The places that we know, and those of them that are closed."""
        query = select(_locations.c.external_id, _locations.c.active & ~_locations.c.deleted)
        with self._database.read() as conn:
            rows = conn.execute(query.where(_locations.c.connection == self._connection)).all()
        places: dict[str, bool] = {**dict(rows), **self._foreseen.places}
        return set(places), {id for id, is_open in places.items() if not is_open}
