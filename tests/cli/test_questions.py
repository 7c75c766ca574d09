"""``tallyhook gaps`` and ``validate``: a question is answered, and exit code 1 says that something is wrong."""

from datetime import date

import pytest

from app.domain import Kind, Order
from app.errors import Unavailable
from app.stores import catalog
from tests.cli.conftest import Terminal
from tests.fakes import EPOCH, SHOP, listing


@pytest.fixture
def orders(terminal: Terminal) -> Terminal:
    """A shop that took an order on each of two days; we have the first."""
    terminal.source.kinds = tuple(Kind)
    terminal.source.order_days = [(date(2026, 11, 20), "O20"), (date(2026, 11, 21), "O21")]
    hold(terminal, "O20")
    return terminal


def hold(terminal: Terminal, *ids: str) -> None:
    with terminal.deps.database.begin() as conn:
        catalog.apply(conn, SHOP, [Order(id) for id in ids], read_at=EPOCH, now=EPOCH)


def test_gaps_names_the_days_that_differ_and_how_to_mend_them(orders: Terminal) -> None:
    typed = orders.type("gaps", SHOP, "--from", "2026-11-19", "--to", "2026-11-22")
    assert typed.code == 1
    assert "O21" in typed.out
    assert "2026-11-20" not in typed.out
    assert "tallyhook backfill orders shop --from 2026-11-21 --to 2026-11-21" in typed.out


def test_gaps_is_well_when_no_order_is_missing(orders: Terminal) -> None:
    hold(orders, "O21")
    typed = orders.type("gaps", SHOP, "--from", "2026-11-19", "--to", "2026-11-22")
    assert (typed.code, typed.out) == (0, "No order is missing: 2 on 2 days.\n")


def test_gaps_gives_programs_every_day(orders: Terminal) -> None:
    days = orders.type("gaps", SHOP, "--from", "2026-11-19", "--to", "2026-11-22", "--json").json
    assert days == [
        {"day": "2026-11-20", "there": 1, "here": 1, "missing": []},
        {"day": "2026-11-21", "there": 1, "here": 0, "missing": ["O21"]},
    ]


def test_gaps_of_days_in_the_wrong_order_is_exit_code_2(orders: Terminal) -> None:
    assert orders.type("gaps", SHOP, "--from", "2026-11-22", "--to", "2026-11-21").code == 2


def test_a_source_that_does_not_answer_is_one_line_and_exit_code_1(orders: Terminal) -> None:
    orders.source.failures.append(Unavailable("no answer in 10 s"))
    typed = orders.type("gaps", SHOP, "--from", "2026-11-22")
    assert (typed.code, typed.out, typed.err) == (1, "", "tallyhook: no answer in 10 s\n")


def test_validate_is_well_when_nothing_is_wrong(terminal: Terminal) -> None:
    typed = terminal.type("validate", SHOP)
    assert typed.code == 0
    assert "No SKU is used by two listings." in typed.out


def test_validate_shows_what_is_wrong_and_is_exit_code_1(terminal: Terminal) -> None:
    with terminal.deps.database.begin() as conn:
        found = [listing(id, sku="MUG[1]", price_minor=1) for id in ("A", "B")]
        catalog.apply(conn, SHOP, found, read_at=EPOCH, now=EPOCH)
    typed = terminal.type("validate", SHOP, "--anew")
    assert typed.code == 1
    assert "One SKU is used by more than one listing." in typed.out
    assert "MUG[1]" in typed.out


def test_validate_gives_programs_the_report_and_no_more_samples_than_asked_for(terminal: Terminal) -> None:
    with terminal.deps.database.begin() as conn:
        catalog.apply(conn, SHOP, [listing(f"A{n}", name=None) for n in range(3)], read_at=EPOCH, now=EPOCH)
    report = terminal.type("validate", SHOP, "--samples", "1", "--json").json
    (nameless,) = (check for check in report["checks"] if check["check"] == "missing_name")
    assert (nameless["count"], len(nameless["samples"])) == (3, 1)


def test_validate_of_an_unknown_connection_is_exit_code_4(terminal: Terminal) -> None:
    assert terminal.type("validate", "nobody").code == 4
