"""A nightly run compares a slice of the older orders, so that edits without a trace are found within a month."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from app.domain import Answer, Kind, Ref, Strategy
from app.errors import Unavailable
from app.rules.drift.drift import DriftCause
from app.rules.runs import slices as rules
from app.rules.runs.slices import nights, rows_of_slice
from app.stores.runs import slices
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from tests.flows.shops import SHOP, Shop, shop

MONTH = 3
"""Nights, for these tests."""

QUIET = {"finale": "quiet", "square": "quiet_edit"}


@pytest.fixture(params=["finale", "square"])
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def read(vendor: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop of which everything was read once."""
    monkeypatch.setattr(rules, "NIGHTS", MONTH)
    with shop(vendor, database, orders="40") as opened:
        opened.run(Strategy.FULL)
        opened.settle()
        yield opened


def edit_quietly(read: Shop, vendor: str) -> str:
    """A line of an order older than a week changes, with no event and no new time; returns its id."""
    answer = read.control.post("/_sim/changes", json={"count": 1, "kinds": [QUIET[vendor]]})
    (changed,) = answer.raise_for_status().json()
    return str(changed["external_id"])


def month(read: Shop) -> list[Run]:
    return [read.run(Strategy.FULL) for _ in range(MONTH + 1)]


def total(read: Shop, id: str) -> Any:
    return next(row for (_, item), row in read.rows().items() if item == id)["total_minor"]


def truth(read: Shop, id: str) -> Any:
    rows = read.control.get("/_sim/truth/order").json()
    return next(row["total_minor"] for row in rows if row["external_id"] == id)


def test_an_old_order_edited_without_a_trace_is_right_again_within_a_month(read: Shop, vendor: str) -> None:
    id = edit_quietly(read, vendor)
    assert total(read, id) != truth(read, id)
    month(read)
    assert total(read, id) == truth(read, id)


@pytest.mark.parametrize("vendor", ["finale"], indirect=True)
def test_an_old_order_that_is_never_answered_harms_only_itself(read: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch, fetched = read.source.fetch, list[str]()

    def hanging(refs: Sequence[Ref]) -> Answer:
        fetched.extend(ref.external_id for ref in refs if ref.kind is Kind.ORDER)
        if fetched and refs[0] == Ref(Kind.ORDER, fetched[0]):
            raise Unavailable("ReadTimeout: no answer within 30 s")
        return fetch(refs)

    monkeypatch.setattr(read.source, "fetch", hanging)
    ended = read.run(Strategy.FULL)
    assert (ended.status, ended.counts[Kind.ORDER].failed) == ("completed", 1)


def test_drift_of_an_edit_without_a_trace_has_a_reason_of_its_own(read: Shop, vendor: str) -> None:
    id = edit_quietly(read, vendor)
    rows = [row for run in month(read) for row in read.drift(run.id) if row.item == id]
    assert [row.cause for row in rows] == [DriftCause.SILENT]


def test_every_older_order_is_compared_once_a_round(read: Shop) -> None:
    compared = [run.counts["order"].compared_again or 0 for run in month(read)]
    with read.deps.database.read() as conn:
        old = conn.exec_driver_sql("SELECT count(*) FROM orders").scalar_one()
    assert 0 < sum(compared[:MONTH]) <= old
    assert max(compared) < old


def test_a_dry_run_names_the_edit_and_leaves_the_slice_to_the_next_night(read: Shop, vendor: str) -> None:
    id = edit_quietly(read, vendor)
    for _ in range(MONTH + 1):
        dry = read.run(Strategy.FULL, dry_run=True)
        real = read.run(Strategy.FULL)
        named = {row.item for row in read.drift(dry.id)}
        assert named == {row.item for row in read.drift(real.id)}
        if id in named:
            return
    raise AssertionError("no slice showed it")


def test_a_first_run_compares_nothing_twice(vendor: str, database: Database) -> None:
    with shop(vendor, database, orders="40") as opened:
        assert opened.run(Strategy.FULL).counts["order"].compared_again is None


def test_a_run_that_is_narrowed_compares_no_older_orders(read: Shop) -> None:
    counts = read.run(Strategy.FULL, limit=1_000).counts
    assert "order" not in counts or counts["order"].compared_again is None


def test_the_place_of_a_slice_is_kept_by_connection(read: Shop) -> None:
    read.run(Strategy.FULL)
    with read.deps.database.read() as conn:
        assert slices.get(conn, SHOP, Kind.ORDER) is not None
        assert slices.get(conn, "other", Kind.ORDER) is None


@pytest.mark.parametrize(
    ("rows", "per_call", "calls_a_day", "expected"),
    [
        (2_800, 1, None, 100),
        (2_801, 1, None, 101),
        (2_800, 1, 200.0, 10),
        (2_800, 100, 200.0, 100),
        (5, 1, None, 1),
        (5_000, 1, 1.0, 1),
    ],
)
def test_a_slice_is_a_month_s_part_unless_the_budget_is_smaller(
    rows: int, per_call: int, calls_a_day: float | None, expected: int
) -> None:
    assert rows_of_slice(rows, per_call, calls_a_day) == expected


def test_a_smaller_slice_makes_more_nights() -> None:
    assert (nights(2_800, 100), nights(2_800, 10), nights(0, 0)) == (28, 280, 0)
