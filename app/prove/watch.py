"""Watches our tables while the trouble lasts: a right row stays right, and no row goes back to an older state.

A wrong row that the next edit, poll or complete read repairs was still wrong for a while. So each row is compared
again and again with every state that it ever had at its source.
"""

from collections import defaultdict
from typing import NamedTuple

from sqlalchemy import Connection, text

from app.domain import ALL_ITEMS, Kind, StockCount, row_hash
from app.prove.checks import Checks
from app.prove.compare import item_of, was_bad
from app.prove.faults import Dial
from app.prove.shop import KINDS, Key, Shop
from app.prove.town import Town
from app.stores.catalog.catalog_sql import shape

FEW = 4
"""A kind with fewer rows may lose all of them at once."""

_BLAMED = text(
    "SELECT message_key, error FROM attempts WHERE error_type IN ('DatabaseFault', 'TransactionUndone') ORDER BY 1"
)
_HELD = "held"
"""Marks, among the owed items, a kind of which a held batch waits for a person."""

_OWED = text(
    f"""SELECT connection, kind, external_id FROM owed_items
    UNION SELECT connection, kind, '{_HELD}' FROM holds WHERE state IN ('held', 'released')"""
)


class Row(NamedTuple):
    """A row of a shop."""

    shop: str
    kind: Kind
    key: Key


class Watch:
    """One thread that compares about twice a second."""

    def __init__(self, town: Town, checks: Checks) -> None:
        self._town = town
        self._checks = checks
        self._states: dict[Row, list[int | None]] = defaultdict(list)
        self._edited: dict[str, int] = dict.fromkeys(town.shops, 0)
        self._at: dict[Row, int] = {}
        self._right: dict[Row, int] = {}
        self._live: dict[tuple[str, Kind], int] = {}
        self._rows = text(" UNION ALL ".join(map(_rows, KINDS)))
        self.ended = False

    def begin(self) -> None:
        """Start the thread."""
        self._town.stage.spawn("watch", self._again, None)

    def _again(self) -> None:
        while not self.ended:
            self._town.stage.pause(self._town.stage.rng.uniform(0.2, 1.0))
            self.compare()

    def compare(self) -> None:
        """Compare every row with what it was at its source, and at the last look here."""
        with self._town.database.read() as conn:
            self._nothing_blamed(conn)
            owed = {tuple(row) for row in conn.execute(_OWED)}
            for name, shop in self._town.shops.items():
                self._learn(name, shop)
                self._compare(shop, self._held(conn, name), owed)

    def _held(self, conn: Connection, name: str) -> dict[Row, int | None]:
        """The hashes of our rows; ``None`` for tombstones and for counts of zero."""
        rows = conn.execute(self._rows, {"connection": name})
        return {Row(name, Kind(kind), tuple(key.split("\x1f"))): digest for kind, key, digest in rows}

    def _learn(self, name: str, shop: Shop) -> None:
        for edit in shop.edits[self._edited[name] :]:
            gone = edit.record is None or (isinstance(edit.record, StockCount) and edit.record.quantity == 0)
            state = None if gone or edit.record is None else row_hash(edit.record)
            self._states[Row(name, edit.kind, edit.key)].append(state)
        self._edited[name] = len(shop.edits)

    def _compare(self, shop: Shop, held: dict[Row, int | None], owed: set[tuple[str, ...]]) -> None:
        name = shop.style.name
        for kind in KINDS:
            self._not_emptied(
                shop, kind, sum(1 for row, state in held.items() if row.kind is kind and state is not None)
            )
        if self._town.faults.has(Dial.VENDOR_LAGS) and not shop.style.seconds:
            return  # of single reads that lag behind rows may well go back
        for row, states in self._states.items():
            if (
                row.shop == name
                and not self._town.vendors[name].lied[row.kind]
                and not was_bad(shop, row.kind, row.key)
            ):
                state = held.get(row)
                self._stays_right(shop, row, state, owed)
                if row in held and row.kind not in shop.style.whole and not shop.style.seconds:
                    self._goes_on(row, states, state, shop)

    def _stays_right(self, shop: Shop, row: Row, state: int | None, owed: set[tuple[str, ...]]) -> None:
        """A row that equalled its source, and that nobody edited since, still equals it, unless it is owed again."""
        states = self._states[row]
        if state == states[-1]:
            self._right[row] = len(states)
        elif self._right.get(row) == len(states) and not self._is_to_come(shop, row, owed):
            self._right[row] = 0
            self._find(f"was right and is wrong again: {row.shop} {row.kind} {'/'.join(row.key)}", shop, row)

    def _is_to_come(self, shop: Shop, row: Row, owed: set[tuple[str, ...]]) -> bool:
        """Whether the item is owed, waits for a person, or its last webhook is pending or lost."""
        item = item_of(shop, row.kind, row.key)
        names = {item, ALL_ITEMS, row.key[0]}  # a hold that ends owes its rows by their own ids
        is_owed = any((row.shop, row.kind, name) in owed for name in (item, row.key[0], _HELD))
        if is_owed or row.kind not in shop.style.announced:
            return True
        for hook in reversed(self._town.post.hooks):
            named = (one.external_id in names for one in hook.delivery.changes if one.kind is row.kind)
            if hook.connection == row.shop and any(named):
                return hook.acknowledged_at is None
        return True

    def _goes_on(self, row: Row, states: list[int | None], state: int | None, shop: Shop) -> None:
        """By the source's versions, no row goes back to a state before one that we already had."""
        before = self._at.get(row, -1)
        later = [at for at in range(max(before, 0), len(states)) if states[at] == state]
        if later:
            self._at[row] = later[0]
        elif before >= 0:
            earlier = [at for at in range(before) if states[at] == state]
            what = (
                "is deleted here" if state is None else "is older here" if earlier else "never was so at the source"
            )
            self._find(f"went back: {row.shop} {row.kind} {'/'.join(row.key)} {what}", shop, row)
            self._at[row] = earlier[-1] if earlier else before

    def _find(self, words: str, shop: Shop, row: Row) -> None:
        ids = (item_of(shop, row.kind, row.key), row.key[0])
        self._town.note("watch", words, [f"{row.shop}/{id}" for id in ids])
        self._checks.find(words, row.shop, *ids)

    def _not_emptied(self, shop: Shop, kind: Kind, live: int) -> None:
        """No kind loses all its rows at once, unless it did at the source."""
        name = shop.style.name
        before = self._live.get((name, kind), 0)
        if live == 0 and before >= FEW and len(shop.rows[kind]) > before // 2:
            self._checks.find(f"emptied: {name} {kind} had {before} rows, and the source has them still", name)
        self._live[name, kind] = live

    def _nothing_blamed(self, conn: Connection) -> None:
        """A fault of the database counts as no attempt."""
        for row in conn.execute(_BLAMED):
            connection, _, item = row.message_key.partition("/")
            words = f"a fault of the database counts as an attempt of {row.message_key}: {row.error[:80]}"
            self._checks.find(words, connection, item.rpartition("/")[2])


def _rows(kind: Kind) -> str:
    one = shape(kind)
    key = " || '\x1f' || ".join(one.keys)
    nothing = " OR quantity = 0" if kind is Kind.STOCK else ""
    return f"""SELECT '{kind}', {key}, CASE WHEN deleted{nothing} THEN NULL ELSE row_hash END
        FROM {one.table} WHERE connection = :connection"""
