"""Tombstones, zeroes, resurrection, and the questions flows ask the catalog."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain import Kind, Listing, MissingPolicy, Record, Ref, Scope, StockCount, micros, row_hash
from app.stores import catalog
from app.stores.catalog.reading import SAMPLE
from app.stores.sql.engine import Database
from tests.rows import row_of

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
ITEM = Scope(Kind.PRODUCT, "parent_id", "i1")
OF_A = Scope(Kind.STOCK, "listing_id", "a", MissingPolicy.ZERO)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def listing(key: str, version: int = 1, parent: str = "i1", **more: Any) -> Listing:
    return Listing(external_id=key, parent_id=parent, version=version, **more)


def count(key: str, quantity: str, state: str = "on_hand", **more: Any) -> StockCount:
    return StockCount(key, "l1", state, Decimal(quantity), **more)


def apply(database: Database, *records: Record, read: float = 0, connection: str = "shop") -> catalog.Applied:
    with database.begin() as conn:
        return catalog.apply(conn, connection, records, read_at=at(read), now=NOW)


def close(
    database: Database, scopes: Sequence[Scope], *shown: Record, read: float = 10
) -> list[tuple[Kind, tuple[str, ...]]]:
    with database.begin() as conn:
        _, (closed,) = catalog.apply_reads(conn, "shop", [catalog.Read(shown, at(read), scopes)], now=at(read))
        return closed


def tombstone(database: Database, *refs: Ref, read: float = 10) -> int:
    with database.begin() as conn:
        return catalog.tombstone(conn, "shop", refs, read_at=at(read), now=at(read))


def get(database: Database, kind: Kind, *key: str) -> dict[str, Any]:
    with database.read() as conn:
        found = row_of(conn, "shop", kind, key)
    assert found is not None
    return found


def test_a_row_the_complete_read_did_not_show_is_tombstoned(database: Database) -> None:
    apply(database, listing("a"), listing("b"))
    assert close(database, [ITEM], listing("a")) == [(Kind.PRODUCT, ("b",))]


def test_a_tombstone_is_a_deleted_row_without_a_hash(database: Database) -> None:
    apply(database, listing("a", 7))
    close(database, [ITEM])
    row = get(database, Kind.PRODUCT, "a")
    assert (row["deleted"], row["row_hash"], row["version"], row["read_at"]) == (True, 0, 7, at(10))


def test_rows_outside_the_scope_stay(database: Database) -> None:
    apply(database, listing("a", parent="i2"))
    assert close(database, [ITEM]) == []


def test_rows_of_other_connections_stay(database: Database) -> None:
    apply(database, listing("a"), connection="other")
    assert close(database, [ITEM]) == []


def test_a_row_read_at_the_same_moment_stays(database: Database) -> None:
    apply(database, listing("a"), read=10)
    assert close(database, [ITEM], read=10) == []


def test_a_row_closed_before_is_not_closed_again(database: Database) -> None:
    apply(database, listing("a"))
    close(database, [ITEM])
    assert close(database, [ITEM], read=11) == []


def test_many_scopes_of_one_field_are_closed_together(database: Database) -> None:
    apply(database, listing("a"), listing("b", parent="i2"), listing("c", parent="i3"))
    scopes = [ITEM, Scope(Kind.PRODUCT, "parent_id", "i2")]
    assert close(database, scopes) == [(Kind.PRODUCT, ("a",)), (Kind.PRODUCT, ("b",))]


def test_a_scope_without_a_field_is_the_whole_kind(database: Database) -> None:
    apply(database, listing("a"), listing("b", parent="i2"))
    assert len(close(database, [Scope(Kind.PRODUCT)])) == 2


def test_a_scope_of_an_unknown_field_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="no field 'colour'"):
        close(database, [Scope(Kind.PRODUCT, "colour", "red")])


def test_absent_stock_becomes_zero(database: Database) -> None:
    apply(database, count("a", "4", extra='["lot"]', version=3))
    close(database, [OF_A])
    row = get(database, Kind.STOCK, "a", "l1", "on_hand")
    assert (row["quantity"], row["extra"], row["deleted"], row["version"]) == (0, None, False, micros(at(10)))


def test_a_zeroed_row_has_the_hash_of_a_zero_from_the_source(database: Database) -> None:
    apply(database, count("a", "4", extra='["lot"]'))
    close(database, [OF_A])
    assert get(database, Kind.STOCK, "a", "l1", "on_hand")["row_hash"] == row_hash(count("a", "0"))


def test_stock_that_is_zero_already_is_not_zeroed_again(database: Database) -> None:
    apply(database, count("a", "0"))
    assert close(database, [OF_A]) == []


def test_zeroing_never_takes_a_version_back(database: Database) -> None:
    ahead = micros(at(60))
    apply(database, count("a", "4", version=ahead))
    close(database, [OF_A])
    assert get(database, Kind.STOCK, "a", "l1", "on_hand")["version"] == ahead


def test_a_missing_item_is_tombstoned(database: Database) -> None:
    apply(database, listing("a"), listing("b"))
    assert (tombstone(database, Ref(Kind.PRODUCT, "a")), get(database, Kind.PRODUCT, "b")["deleted"]) == (1, False)


def test_a_missing_item_we_never_had_is_nothing(database: Database) -> None:
    assert tombstone(database, Ref(Kind.PRODUCT, "a")) == 0


def test_a_row_read_later_than_it_was_found_missing_stays(database: Database) -> None:
    apply(database, listing("a"), read=11)
    assert tombstone(database, Ref(Kind.PRODUCT, "a"), read=10) == 0


def test_a_missing_listing_takes_all_its_counts(database: Database) -> None:
    apply(database, count("a", "1"), count("a", "2", "on_order"), count("b", "3"))
    assert tombstone(database, Ref(Kind.STOCK, "a")) == 2


def test_a_missing_sku_says_nothing_about_a_product(database: Database) -> None:
    apply(database, listing("a", sku="X-1"))
    assert tombstone(database, Ref(Kind.PRODUCT, "sku:X-1")) == 0


@pytest.mark.parametrize(("version", "read", "deleted"), [(1, 20, False), (2, 5, True), (1, 5, True)])
def test_a_tombstone_is_lifted_only_by_a_read_that_began_after_it_was_concluded(
    database: Database, version: int, read: float, deleted: bool
) -> None:
    apply(database, listing("a"))
    tombstone(database, Ref(Kind.PRODUCT, "a"), read=10)
    apply(database, listing("a", version), read=read)
    assert get(database, Kind.PRODUCT, "a")["deleted"] is deleted


def test_a_resurrected_row_counts_as_written(database: Database) -> None:
    apply(database, listing("a"))
    tombstone(database, Ref(Kind.PRODUCT, "a"), read=10)
    assert apply(database, listing("a"), read=20).written == [("a",)]


def test_a_sku_is_resolved_to_its_newest_live_listing(database: Database) -> None:
    apply(
        database, listing("a", 1, sku="X"), listing("b", 3, sku="X"), listing("c", 2, sku="X"),
        listing("d", 9, sku="X", deleted=True),
    )  # fmt: skip
    with database.read() as conn:
        assert catalog.resolve_sku(conn, "shop", "X") == "b"


def test_an_unknown_sku_is_none(database: Database) -> None:
    with database.read() as conn:
        assert catalog.resolve_sku(conn, "shop", "X") is None


def test_versions_are_the_newest_of_each_id_asked_for(database: Database) -> None:
    apply(database, count("a", "1", version=3), count("a", "2", "on_order", version=5), count("b", "3", version=9))
    with database.read() as conn:
        assert catalog.versions(conn, "shop", Kind.STOCK, ["a", "z"]) == {"a": (5, at(0))}


def test_a_products_versions_are_found_by_its_parents_id_too(database: Database) -> None:
    apply(database, listing("a", 3, parent="i1"), listing("b", 7, parent="i1"), listing("c", 9, parent="i2"))
    with database.read() as conn:
        assert catalog.versions(conn, "shop", Kind.PRODUCT, ["i1"]) == {"i1": (7, at(0))}


def test_a_row_we_do_not_hold_is_none(database: Database) -> None:
    with database.read() as conn:
        assert row_of(conn, "shop", Kind.PRODUCT, ("a",)) is None


def test_live_and_deleted_rows_are_counted_apart(database: Database) -> None:
    apply(database, listing("a"), listing("b"), listing("c", deleted=True), count("a", "1"))
    with database.read() as conn:
        found = catalog.counts(conn, "shop")
    assert (found[Kind.PRODUCT], found[Kind.STOCK], found[Kind.ORDER]) == ((2, 1), (1, 0), (0, 0))


# --- some items to ask for ---


def lately_read(database: Database, limit: int, *without: str) -> list[str]:
    with database.read() as conn:
        return catalog.lately_read(conn, "shop", Kind.PRODUCT, limit, without=without)


def test_the_items_read_last_come_first(database: Database) -> None:
    for seconds, item in enumerate(("i2", "i1", "i3")):
        apply(database, listing(f"v-{item}", parent=item), listing(f"w-{item}", parent=item), read=seconds)
    assert lately_read(database, 2) == ["i3", "i1"]


def test_items_that_are_not_wanted_are_not_among_those_read_last(database: Database) -> None:
    apply(database, listing("a", parent="i1"), listing("b", parent="i2"))
    assert lately_read(database, 2, "i1") == ["i2"]


def test_of_a_large_shop_only_some_rows_are_looked_at_for_what_was_read_last(database: Database) -> None:
    apply(database, *(listing(f"a{number:03}", parent=f"i{number}") for number in range(SAMPLE)))
    apply(database, listing("b", parent="last"), read=100)
    assert "last" not in lately_read(database, SAMPLE)
