"""A look at a kind: how many there are in few calls, the first of them a line each, and why it may not be read."""

from collections.abc import Iterator
from decimal import Decimal

import msgspec
import pytest

from app.domain import Category, Change, Kind, Location, Order, Page, Record, Scope, StockCount, Vendor
from app.errors import Unavailable, VendorForbidden
from app.flows.connections.kind_checks import MAX_CALLS, KindCheck, State, count, may_read
from app.rules.describing import line_of
from tests.fakes import EPOCH, FakeSource, listing


def looked(source: FakeSource, kind: Kind = Kind.PRODUCT) -> KindCheck:
    return count(source, kind, EPOCH, lambda text: text.replace("s3cret", "(removed)"))


class Paged(FakeSource):
    """Every page costs a call, and only the pages know how many there are."""

    tells = False

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        for page in super().full(kind, resume):
            self._called("a page", kind=kind)
            yield page if self.tells else msgspec.structs.replace(page, expected=None)


class Naming(FakeSource):
    """Pages that only name their items."""

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        self._called(f"full {kind}", kind=kind)
        yield Page(changes=[Change(kind, one) for one in self.listings])
        yield Page(complete=Scope(kind))


def filled(source: FakeSource, many: int = 40) -> FakeSource:
    source.put(*(listing(f"P{n:02}") for n in range(many)))
    return source


def test_everything_is_counted_and_the_first_three_are_shown() -> None:
    look = looked(filled(FakeSource(page_size=10)))
    assert (look.state, look.found, look.is_all, len(look.rows)) == (State.WELL, 40, True, 3)


def test_what_takes_many_calls_is_counted_as_at_least_so_many() -> None:
    look = looked(filled(Paged(page_size=2)))
    assert (look.is_all, 0 < look.found < 40) == (False, True)


def test_counting_ends_after_a_few_calls() -> None:
    source = filled(Paged(page_size=2))
    looked(source)
    assert source.calls() == MAX_CALLS


def test_a_source_that_shows_how_many_there_are_is_believed() -> None:
    source = filled(Paged(page_size=2))
    source.tells = True  # type: ignore[attr-defined]
    look = looked(source)
    assert (look.found, look.is_all) == (40, True)


def test_rows_that_are_only_named_are_fetched() -> None:
    look = looked(filled(Naming()))
    assert (look.found, len(look.rows), look.rows[0]) == (40, 3, "SKU-P00, Product P00")


def test_nothing_is_no_fault() -> None:
    look = looked(FakeSource())
    assert (look.state, look.found, look.rows) == (State.WELL, 0, [])


@pytest.mark.parametrize("look", [looked, lambda source: may_read(source, Kind.PRODUCT, EPOCH, str)])
def test_a_kind_that_may_not_be_read_is_shown_with_the_vendors_words(look: object) -> None:
    source = FakeSource()
    source.refuses[Kind.PRODUCT] = VendorForbidden("403 ITEMS_READ is missing")
    result = look(source)  # type: ignore[operator]
    assert (result.state, "may not be read: 403 ITEMS_READ is missing" in result.said) == (State.WRONG, True)


def test_no_secret_is_quoted() -> None:
    source = FakeSource()
    source.refuses[Kind.PRODUCT] = Unavailable("no answer to s3cret")
    assert looked(source).said == "no answer to (removed)"


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (listing("A", price_minor=1650, currency="USD"), "SKU-A, Product A, 16.50 USD"),
        (listing("A", price_minor=1650, currency="JPY"), "SKU-A, Product A, 1650 JPY"),
        (StockCount("A", "L1", "on_hand", Decimal("1200")), "A, 1200 on hand, at L1"),
        (Order("o1", ordered_on="2026-11-22", total_minor=-500, currency="USD"), "2026-11-22, sale, -5.00 USD, o1"),
        (Location("L1", name="Harbour", timezone="UTC", active=False), "Harbour, L1, UTC, closed"),
        (Vendor("v1", name="Wares", email="w@x.example"), "Wares, w@x.example"),
        (Category("c1"), "c1"),
    ],
)
def test_a_record_is_one_line_as_a_merchant_knows_it(record: Record, line: str) -> None:
    assert line_of(record) == line
