"""Newer wins: the one rule that decides whether a record is written, case by case and as a property."""

import random
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from app.domain import Category, Kind, Listing, Location, Order, Record, StockCount, Vendor, micros, row_hash
from app.errors import Unmappable
from app.stores import catalog
from app.stores.sql.engine import Database
from tests.rows import row_of

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def listing(version: int, name: str = "bowl", key: str = "p1") -> Listing:
    return Listing(external_id=key, name=name, version=version)


def apply(database: Database, *records: Record, read: float = 0, connection: str = "shop") -> catalog.Applied:
    with database.begin() as conn:
        return catalog.apply(conn, connection, records, read_at=at(read), now=NOW)


def row(database: Database, kind: Kind = Kind.PRODUCT, *key: str) -> dict[str, Any]:
    with database.read() as conn:
        found = row_of(conn, "shop", kind, key or ("p1",))
    assert found is not None
    return found


# held (version, name, read), offered (version, name, read), outcome, name afterwards, version afterwards
CASES = {
    "newer version, new content": ((5, "a", 0), (6, "b", 1), "updated", "b", 6),
    "newer version from an older read": ((5, "a", 2), (6, "b", 1), "updated", "b", 6),
    "newer version, same content": ((5, "a", 0), (6, "a", 1), "touched", "a", 6),
    "same version, same content": ((5, "a", 0), (5, "a", 1), "unchanged", "a", 5),
    "same version, new content, later read": ((5, "a", 0), (5, "b", 1), "updated", "b", 5),
    "same version, new content, same read": ((5, "a", 1), (5, "b", 1), "updated", "b", 5),
    "same version, new content, earlier read": ((5, "a", 2), (5, "b", 1), "unchanged", "a", 5),
    "older version, new content, later read": ((5, "a", 0), (4, "b", 9), "unchanged", "a", 5),
    "older version, same content": ((5, "a", 0), (4, "a", 9), "unchanged", "a", 5),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_newer_state_wins(
    database: Database, case: tuple[tuple[int, str, float], tuple[int, str, float], str, str, int]
) -> None:
    (version, name, read), (offered_version, offered_name, offered_read), outcome, expected_name, expected_version = (
        case
    )
    apply(database, listing(version, name), read=read)
    applied = apply(database, listing(offered_version, offered_name), read=offered_read)
    held = row(database)
    assert (getattr(applied, outcome), held["name"], held["version"]) == (1, expected_name, expected_version)


def test_a_first_record_is_created(database: Database) -> None:
    assert apply(database, listing(1)) == catalog.Applied(created=1, written=[("p1",)])


def test_a_touched_row_is_not_among_the_written_ones(database: Database) -> None:
    apply(database, listing(1))
    assert apply(database, listing(2)).written == []


def test_the_newest_of_a_key_shown_twice_wins(database: Database) -> None:
    apply(database, listing(2, "new"), listing(1, "old"))
    assert row(database)["name"] == "new"


def test_a_key_shown_twice_counts_once(database: Database) -> None:
    applied = apply(database, listing(1, "old"), listing(2, "new"))
    assert (applied.created, applied.updated) == (1, 0)


def test_connections_do_not_see_each_other(database: Database) -> None:
    apply(database, listing(9, "theirs"), connection="other")
    apply(database, listing(1, "ours"))
    assert row(database)["name"] == "ours"


FULL: dict[Kind, Record] = {
    Kind.PRODUCT: Listing(
        "p/1", "i1", "SKU-1", "Tasse “à café”", "line\nbreak \\ \"quoted\" 'single' %s ?", False, "c1", "Kitchen",
        "Home / Kitchen", True, '[{"location_id":"L1"}]', "0400", 1999, -5, "EUR",
        '[{"price":"19.99"}]', "s1", "S-1", '["x"]', 14, Decimal("0.12345"),
        Decimal("120000000"), '["r"]', "kg", 3,
        '["i"]', '["o"]', '["m"]', '["t"]', '["c1"]', '{"custom":"❄"}', False, 1_763_000_000_000_000, at(0.25),
    ),
    Kind.STOCK: StockCount("p1", "l1", "on_hand", Decimal("-3.5"), '["lot"]', False, 7, at(1)),
    Kind.ORDER: Order(
        "o1",
        "1001",
        "purchase",
        "open",
        "l1",
        "s1",
        ordered_on="2026-11-20",
        total_minor=4_000_000_000,
        currency="USD",
        lines="[]",
        extra="{}",
    ),
    Kind.LOCATION: Location("l1", "l0", "Back room", False, "USD", "America/New_York", "{}", False, 3, at(2)),
    Kind.VENDOR: Vendor("v1", "ACME", True, "42", "a@example.com", "+1", "{}", True, 4, None),
    Kind.CATEGORY: Category("c1", None, "Kitchen", None, False, 5, at(3)),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(FULL))
def test_a_row_reads_back_as_the_record_it_came_from(database: Database, kind: Kind) -> None:
    record = FULL[kind]
    apply(database, record)
    held = row(database, kind, *(getattr(record, name) for name in type(record).key_fields))
    assert type(record)(**{name: held[name] for name in record.__struct_fields__}) == record


@pytest.mark.parametrize("kind", list(FULL))
def test_a_stored_row_carries_hash_read_time_and_write_time(database: Database, kind: Kind) -> None:
    record = FULL[kind]
    apply(database, record, read=4)
    held = row(database, kind, *(getattr(record, name) for name in type(record).key_fields))
    assert (held["row_hash"], held["read_at"], held["written_at"]) == (row_hash(record), at(4), NOW)


def test_a_batch_of_several_kinds_is_applied_as_one(database: Database) -> None:
    assert apply(database, *FULL.values()).created == len(FULL)


def test_a_row_that_reads_back_hashes_as_it_was_hashed(database: Database) -> None:
    apply(database, FULL[Kind.PRODUCT])
    held = row(database, Kind.PRODUCT, "p/1")
    again = Listing(**{name: held[name] for name in Listing.__struct_fields__})
    assert row_hash(again) == held["row_hash"]


# Several reads of a few keys; between two reads of one version the content may change, but not change back.
STATES = st.lists(
    st.tuples(st.sampled_from(["p1", "p2", "p3"]), st.integers(1, 6), st.integers(0, 20)), min_size=1, max_size=8
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states=STATES, data=st.data())
def test_any_order_and_repetition_of_the_same_states_ends_in_the_same_rows(
    database: Database, states: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    again = data.draw(st.permutations(states + states[::2]))
    ends = []
    for name, sequence in (("first", states), ("second", again)):
        with database.begin() as conn:
            for key, version, read in sequence:
                record = listing(version, f"v{version // 2}.{read // 7}", key)
                catalog.apply(conn, name, [record], read_at=at(read), now=NOW)
            ends.append({key: _state(conn, name, key) for key in ("p1", "p2", "p3")})
            conn.exec_driver_sql("DELETE FROM listings")
    assert ends[0] == ends[1]


def _state(conn: Connection, connection: str, key: str) -> tuple[object, ...] | None:
    held = row_of(conn, connection, Kind.PRODUCT, (key,))
    return (held["version"], held["name"], held["row_hash"]) if held else None


def test_eight_writers_at_once_end_with_the_newest(database: Database) -> None:
    keys = [f"p{number}" for number in range(20)]
    states = [listing(version, f"v{version}", key) for key in keys for version in range(1, 7)]
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        mine = states[:]
        random.Random(seed).shuffle(mine)
        try:
            for start in range(0, len(mine), 10):
                apply(database, *mine[start : start + 10])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {row(database, Kind.PRODUCT, key)["name"] for key in keys}
    assert (failures, names) == ([], {"v6"})


@pytest.mark.parametrize(
    "record",
    [
        *(
            StockCount(*key, Decimal(1), version=1)
            for key in (("", "l1", "on_hand"), ("p1", "", "on_hand"), ("p1", "l1", ""))
        ),
        *(kind("", version=1) for kind in (Listing, Order, Location, Vendor, Category)),
    ],
)
def test_a_record_without_its_whole_key_is_refused(database: Database, record: Record) -> None:
    with pytest.raises(Unmappable, match="no part of it may be empty"):
        apply(database, record)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "1e15", "-1e400"])
def test_an_amount_that_no_column_holds_is_refused_by_name(database: Database, amount: str) -> None:
    with pytest.raises(Unmappable, match=r"stock p1/l1/on_hand cannot be stored: quantity is"):
        apply(database, StockCount("p1", "l1", "on_hand", Decimal(amount), version=1))


# --- rows that have but the time of their read for a version ---


def moment(seconds: float) -> int:
    return micros(at(seconds))


def test_a_row_of_its_own_reads_time_gives_way_to_a_later_read_of_an_older_version(database: Database) -> None:
    apply(database, listing(micros(NOW) + 1, "dated in the future"), read=5)
    apply(database, listing(moment(3), "true"), read=6)
    assert row(database)["name"] == "true"


def test_a_row_of_its_own_reads_time_keeps_off_an_earlier_read_of_an_older_version(database: Database) -> None:
    apply(database, listing(micros(NOW) + 1, "dated in the future"), read=5)
    apply(database, listing(moment(3), "old"), read=4)
    assert row(database)["name"] == "dated in the future"


def test_a_row_of_a_version_beside_its_reads_time_is_the_sources_own(database: Database) -> None:
    apply(database, listing(moment(5) + 1, "true"), read=5)
    apply(database, listing(moment(3), "old"), read=6)
    assert row(database)["name"] == "true"


@pytest.mark.parametrize("read", [5, 5.25, 5.000001])
def test_the_time_of_a_read_is_told_whatever_its_fraction(database: Database, read: float) -> None:
    apply(database, listing(moment(read), "own time"), read=read)
    apply(database, listing(moment(3), "later read"), read=6)
    assert row(database)["name"] == "later read"
