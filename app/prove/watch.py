"""Watches our tables while the trouble lasts: no row goes back to what the source was before what we had already seen.

A wrong row that the next edit or the next complete read repairs was still wrong. Only where the source gives versions:
where a read's own beginning is the version, two reads that overlap may swap for a moment, and their webhooks settle it.
"""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, text

from app.domain import Kind, row_hash
from app.prove.checks import Checks
from app.prove.compare import item_of
from app.prove.faults import Dial
from app.prove.shop import KINDS, VERSIONED, Key, Shop
from app.prove.town import Town
from app.stores.catalog_sql import shape

WATCHED = (Kind.PRODUCT, Kind.STOCK, Kind.ORDER)
FEW = 4
"""With fewer rows than that, all may well go at once."""

_BLAMED = text(
    "SELECT message_key, error FROM attempts WHERE error_type IN ('DatabaseFault', 'TransactionUndone') ORDER BY 1"
)


class Watch:
    """One thread that looks again and again."""

    def __init__(self, town: Town, checks: Checks) -> None:
        self._town = town
        self._checks = checks
        self._shop: Shop = town.shops[VERSIONED.name]
        self._states: dict[tuple[Kind, Key], list[tuple[float, int | None]]] = defaultdict(list)
        self._known = 0
        self._at: dict[tuple[Kind, Key], int] = {}
        self._query = text(" UNION ALL ".join(map(_rows, WATCHED)))
        self._counts = {kind: text(_count(kind)) for kind in KINDS}
        self._live: dict[tuple[str, Kind], int] = {}
        self.ended = False

    def begin(self) -> None:
        """Look about twice a second."""
        self._town.stage.spawn("watch", self._again, None)

    def _again(self) -> None:
        while not self.ended:
            self._town.stage.pause(self._town.stage.rng.uniform(0.2, 1.0))
            self.look()

    def look(self) -> None:
        """Compare every row with where it was at the last look."""
        self._learn()
        with self._town.database.read() as conn:
            rows = list(conn.execute(self._query, {"connection": self._shop.style.name}))
            self._not_emptied(conn)
            self._nothing_blamed(conn)
        for name, joined, digest, deleted in rows:
            kind, key = Kind(name), tuple(joined.split("\x1f"))
            if (kind, key) in self._states and not self._town.vendors[self._shop.style.name].lied[kind]:
                self._place(kind, key, None if deleted else digest)

    def _not_emptied(self, conn: Connection) -> None:
        """No kind loses all its rows at once, unless the source did."""
        for name, shop in self._town.shops.items():
            for kind, query in self._counts.items():
                live = conn.execute(query, {"connection": name}).scalar_one()
                before = self._live.get((name, kind), 0)
                if live == 0 and before >= FEW and len(shop.rows[kind]) > before // 2:
                    self._checks.find(
                        f"emptied: {name} {kind} had {before} rows, and the source has them still", name
                    )
                self._live[name, kind] = live

    def _nothing_blamed(self, conn: Connection) -> None:
        """A fault of the database is nobody's failed attempt."""
        for row in conn.execute(_BLAMED):
            connection, _, item = row.message_key.partition("/")
            words = f"a fault of the database counts as an attempt of {row.message_key}: {row.error[:80]}"
            self._checks.find(words, connection, item.rpartition("/")[2])

    def _learn(self) -> None:
        edits = self._shop.edits
        for edit in edits[self._known :]:
            state = None if edit.record is None else row_hash(edit.record)
            self._states[edit.kind, edit.key].append((edit.at, state))
        self._known = len(edits)

    def _place(self, kind: Kind, key: Key, state: int | None) -> None:
        """Note where a row is; of single reads that lag behind rows may well go back."""
        if self._town.faults.has(Dial.VENDOR_LAGS):
            return
        states, before = self._states[kind, key], self._at.get((kind, key), -1)
        later = [at for at in range(max(before, 0), len(states)) if states[at][1] == state]
        if later:
            self._at[kind, key] = later[0]
            return
        if (kind, item_of(self._shop, kind, key)) in self._shop.ever_bad or (kind, key[0]) in self._shop.ever_bad:
            return
        earlier = [at for at in range(before) if states[at][1] == state]
        if before >= 0 or earlier:
            what = (
                "is deleted here" if state is None else "is older here" if earlier else "never was so at the source"
            )
            since = f"{states[before][0]:.3f} s" if before >= 0 else "the beginning"
            words = (
                f"went back: {self._shop.style.name} {kind} {'/'.join(key)} {what} (seen since: the edit of {since})"
            )
            ids = (item_of(self._shop, kind, key), key[0])
            self._town.note("watch", words, [f"{self._shop.style.name}/{id}" for id in ids])
            self._checks.find(words, self._shop.style.name, *ids)
            self._at[kind, key] = earlier[-1] if earlier else before


def _rows(kind: Kind) -> str:
    one = shape(kind)
    key = " || '\x1f' || ".join(one.keys)
    return f"SELECT '{kind}', {key}, row_hash, deleted FROM {one.table} WHERE connection = :connection"


def _count(kind: Kind) -> str:
    nothing = " AND quantity <> 0" if kind is Kind.STOCK else ""
    return f"SELECT count(*) FROM {shape(kind).table} WHERE connection = :connection AND NOT deleted{nothing}"
