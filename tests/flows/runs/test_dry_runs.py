"""A dry run names exactly the rows that the real run after it writes, field by field, and its price in calls."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec import to_builtins

from app import sources
from app.domain import Kind, Ref, Strategy
from app.errors import Unavailable
from app.stores.runs import failed_items
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from tests.flows.shops import SHOP, Rows, Shop, shop

CASES = [(vendor, strategy) for vendor in sources.names() for strategy in Strategy]
CASES.remove(("finale", Strategy.CATEGORIES))  # it has none of its own

Fields = Mapping[str, Sequence[Any]]


class Outcome(NamedTuple):
    """What a run tells, or does: the fields of each row before and after, what it counted, and its calls."""

    rows: Mapping[str, Fields]
    counts: dict[str, dict[str, int]]
    calls: int


@pytest.fixture
def opened(vendor: str, database: Database) -> Iterator[Shop]:
    """A shop that was read once and in which much has happened since."""
    with shop(vendor, database) as opened_shop:
        opened_shop.run(Strategy.FULL)
        opened_shop.settle()
        opened_shop.change(60)
        yield opened_shop


@pytest.mark.parametrize(("vendor", "strategy"), CASES)
def test_a_dry_run_shows_what_the_real_one_does_and_costs(opened: Shop, strategy: Strategy) -> None:
    options = prepare(opened, strategy)
    expected, chosen = rehearsed(opened, strategy, **options)
    assert expected == done(opened, chosen, **options)


def prepare(opened: Shop, strategy: Strategy) -> dict[str, Any]:
    """See that a strategy has something to read; returns the options that it needs."""
    held = sorted(opened.rows())
    with opened.deps.database.begin() as conn:
        if strategy is Strategy.CATEGORY:
            query = "SELECT coalesce(max(category), max(category_id)) FROM listings WHERE NOT deleted"
            return {"category": conn.exec_driver_sql(query).scalar()}
        if strategy is Strategy.CRITICAL:
            conn.exec_driver_sql("UPDATE stock SET quantity = 0")
        if strategy is Strategy.RETRY:
            for kind, item in held:
                if kind in (Kind.PRODUCT, Kind.ORDER):
                    _fail(opened, conn, Ref(kind, item))
    return {}


def _fail(opened: Shop, conn: Any, ref: Ref) -> None:
    error = Unavailable("it did not answer")
    failed_items.record(conn, None, SHOP, ref, category="network", error=error, now=opened.deps.now())


def rehearsed(opened: Shop, strategy: Strategy, **options: Any) -> tuple[Outcome, Strategy]:
    """What a dry run tells, and what it read; a moment later another strategy may be the smart one."""
    ended = opened.run(strategy, dry_run=True, **options)
    rows = {f"{row.kind} {row.item}": row.fields for row in opened.drift(ended.id)}
    return Outcome(rows, _counts(ended), ended.calls), Strategy(ended.checkpoint.chosen or strategy)


def done(opened: Shop, strategy: Strategy, **options: Any) -> Outcome:
    """What a real run does; what it leaves to the workers included."""
    before, requests_before = opened.rows(), opened.requests("")
    ended = opened.run(strategy, **options)
    opened.settle()
    return Outcome(_differences(before, opened.rows()), _counts(ended), opened.requests("") - requests_before)


def _counts(ended: Run) -> dict[str, dict[str, int]]:
    """Rows are compared one by one where items are only named: the real run does not know what they will bring."""
    return {kind: _comparable(to_builtins(counts)) for kind, counts in ended.counts.items()}


def _comparable(counts: dict[str, Any]) -> dict[str, int]:
    wanted = ("owed", "processed", "read") if counts.get("owed") else set(counts) - {"agreement", "agreement_unknown"}
    return {name: counts[name] for name in wanted if counts.get(name)}


def _differences(before: Rows, after: Rows) -> dict[str, Fields]:
    differences = {}
    for (kind, item), row in after.items():
        old = before.get((kind, item), {})
        if not old and row.get("deleted"):
            continue  # the fence of an item that we never held is no row of the shop's
        fields = {name: [old.get(name), value] for name, value in row.items() if old.get(name) != value}
        if fields:
            differences[f"{kind} {item}"] = fields
    decoded: dict[str, Fields] = msgspec.json.decode(msgspec.json.encode(differences))
    return decoded
