"""``tallyhook sync``: what is asked for is what runs, it is shown, and the exit code says how it ended."""

import os
import signal
import threading
from collections.abc import Callable
from datetime import date

import pytest

from app.domain import Category, Kind, Order
from app.errors import AuthRejected, Unavailable
from app.stores import catalog
from app.stores.runs import runs
from app.stores.upkeep import heartbeats
from tests.cli.conftest import Terminal
from tests.fakes import EPOCH, SHOP


def interrupt(*_: object) -> None:
    """Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def held(terminal: Terminal) -> int:
    """How many products we hold."""
    with terminal.deps.database.read() as conn:
        return len(catalog.versions(conn, SHOP, Kind.PRODUCT, list(terminal.source.listings)))


def test_a_direct_run_needs_no_worker(terminal: Terminal) -> None:
    typed = terminal.type("sync", SHOP, "--strategy", "catalog", "--direct")
    assert (typed.code, held(terminal)) == (0, 40)
    assert f"Run {terminal.latest()} (catalog of shop) completed" in typed.out
    assert "40 read; 40 created" in typed.out


def test_json_is_the_only_thing_on_standard_output(terminal: Terminal) -> None:
    typed = terminal.type("sync", SHOP, "--strategy", "catalog", "--direct", "--json")
    assert (typed.json["status"], typed.json["progress"]["created"]) == ("completed", 40)


def test_a_run_that_fails_is_exit_code_1_and_says_why(terminal: Terminal) -> None:
    terminal.source.failures.append(AuthRejected("the key was revoked"))
    typed = terminal.type("sync", SHOP, "--strategy", "catalog", "--direct")
    assert typed.code == 1
    assert "the key was revoked" in typed.out
    assert "Traceback" not in typed.out + typed.err


def test_a_run_that_waits_for_its_connection_is_exit_code_1_and_says_why(terminal: Terminal) -> None:
    terminal.source.down = Unavailable("no answer")
    typed = terminal.type("sync", SHOP, "--strategy", "catalog", "--direct")
    assert typed.code == 1
    assert "no answer" in typed.err


def test_a_run_that_a_worker_carries_out_is_watched_to_its_end(terminal: Terminal) -> None:
    terminal.when_shown(lambda: terminal.work(terminal.latest()))
    typed = terminal.type("sync", SHOP, "--strategy", "catalog", "--json")
    assert (typed.code, typed.json["status"]) == (0, "completed")


def test_that_no_worker_is_alive_is_said_at_once(terminal: Terminal) -> None:
    terminal.when_shown(interrupt)
    assert "No worker is alive" in terminal.type("sync", SHOP).err


def test_a_living_worker_is_not_missed(terminal: Terminal) -> None:
    terminal.when_shown(interrupt)
    now = terminal.deps.now()
    with terminal.deps.database.begin() as conn:
        heartbeats.record(conn, "worker@here:1", "worker", now, now)
    assert "No worker" not in terminal.type("sync", SHOP).err


def test_a_second_run_is_exit_code_3_and_says_which_is_active(terminal: Terminal) -> None:
    active = terminal.ask()
    typed = terminal.type("sync", SHOP)
    assert (typed.code, typed.out) == (3, "")
    assert f"tallyhook runs show {active}" in typed.err


def test_an_unknown_connection_is_exit_code_4(terminal: Terminal) -> None:
    typed = terminal.type("sync", "nobody")
    assert (typed.code, typed.err) == (4, "tallyhook: no connection 'nobody'; use one of: shop\n")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--limit", "0"],
        ["--filter-year", "20"],
        ["--modified-since", "yesterday"],
        ["--modified-since", "2026-11-22T08:00:00"],
        ["--from", "2026-11-22", "--to", "2026-11-21"],
        ["--from", "22.11.2026"],
        ["--strategy", "everything"],
        ["--strategy", "full", "--data-type", "orders"],
        ["--direct", "--no-wait"],
    ],
    ids=" ".join,
)
def test_what_is_written_wrongly_is_exit_code_2_and_opens_no_run(terminal: Terminal, wrong: list[str]) -> None:
    typed = terminal.type("sync", SHOP, *wrong)
    assert (typed.code, typed.out) == (2, "")
    with terminal.deps.database.read() as conn:
        assert not runs.latest(conn)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (["--limit", "0"], "--limit must be at least 1"),
        (["--filter-year", "20"], "--filter-year must be a year like 2026"),
        (["--modified-since", "yesterday"], "'yesterday' is not a moment; right would be 2026-11-22 or"),
        (["--modified-since", "2026-13-01"], "'2026-13-01' is not a moment; right would be 2026-11-22 or"),
        (["--modified-since", "2026-11-22T08:00:00"], "--modified-since must say its time zone, like"),
        (["--from", "2026-11-22", "--to", "2026-11-21"], "--from must not be after --to"),
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_told_as_it_is_typed(terminal: Terminal, wrong: list[str], right: str) -> None:
    said = " ".join(terminal.type("sync", SHOP, *wrong).err.replace("│", " ").split())
    assert right in said
    assert "dryRun" not in said


@pytest.mark.parametrize(
    ("data_type", "strategy"),
    [
        ("products", "catalog"),
        ("inventory", "inventory"),
        ("orders", "orders"),
        ("vendors", "vendors"),
        ("locations", "locations"),
        ("categories", "categories"),
    ],
)
def test_a_data_type_stands_for_its_strategy(terminal: Terminal, data_type: str, strategy: str) -> None:
    terminal.source.kinds = tuple(Kind)
    typed = terminal.type("sync", SHOP, "--data-type", data_type, "--no-wait", "--json")
    assert (typed.code, typed.json["strategy"], typed.json["status"]) == (0, strategy, "idle")


def test_without_a_strategy_the_run_is_smart(terminal: Terminal) -> None:
    assert terminal.type("sync", SHOP, "--no-wait", "--json").json["strategy"] == "smart"


@pytest.mark.parametrize(
    ("option", "strategy"), [(["--category", "Mugs"], "category"), (["--from", "2026-11-01"], "orders")]
)
def test_an_option_of_one_strategy_alone_names_it(terminal: Terminal, option: list[str], strategy: str) -> None:
    terminal.source.kinds = tuple(Kind)
    with terminal.deps.database.begin() as conn:
        catalog.apply(conn, SHOP, [Category("C1", name="Mugs")], read_at=EPOCH, now=EPOCH)
    assert terminal.type("sync", SHOP, *option, "--no-wait", "--json").json["strategy"] == strategy


def test_every_option_reaches_the_run(terminal: Terminal) -> None:
    given = ["--limit", "5", "--filter-year", "2025", "--modified-since", "2025-03-01", "--active-only"]
    typed = terminal.type("sync", SHOP, "--strategy", "full", "--dry-run", *given, "--no-wait", "--json")
    assert typed.json["options"] == {
        "dryRun": True,
        "limit": 5,
        "filterYear": 2025,
        "modifiedSince": "2025-03-01T00:00:00Z",
        "activeOnly": True,
    }


def test_a_dry_run_shows_the_rows_and_writes_none(terminal: Terminal) -> None:
    typed = terminal.type("sync", SHOP, "--strategy", "catalog", "--dry-run", "--direct")
    assert (typed.code, held(terminal)) == (0, 0)
    assert "it would be 40 created" in typed.out
    assert "40 product missing (dry_run)" in typed.out
    assert "SKU-P00" in typed.out


def test_a_dry_run_gives_programs_every_row(terminal: Terminal) -> None:
    diff = terminal.type("sync", SHOP, "--strategy", "catalog", "--dry-run", "--direct", "--json").json["diff"]
    assert {row["item"] for row in diff["rows"]} == set(terminal.source.listings)
    assert diff["summary"] == [{"kind": "product", "change": "missing", "cause": "dry_run", "rows": 40}]


def test_ctrl_c_without_anybody_to_ask_leaves_the_run_to_the_workers(terminal: Terminal) -> None:
    terminal.when_shown(interrupt)
    typed = terminal.type("sync", SHOP)
    assert typed.code == 130
    assert "continues" in typed.err
    assert terminal.run_row(terminal.latest()).status == "idle"


def test_ctrl_c_and_yes_cancels_the_run(terminal: Terminal, keyboard: Callable[[str], None]) -> None:
    keyboard("y\n")
    terminal.when_shown(interrupt)
    assert terminal.type("sync", SHOP).code == 130
    assert terminal.run_row(terminal.latest()).status == "cancelled"


def test_ctrl_c_and_no_leaves_the_run_to_the_workers(terminal: Terminal, keyboard: Callable[[str], None]) -> None:
    keyboard("n\n")
    terminal.when_shown(interrupt)
    assert terminal.type("sync", SHOP).code == 130
    assert terminal.run_row(terminal.latest()).status == "idle"


def test_ctrl_c_and_no_goes_on_with_a_direct_run(terminal: Terminal, keyboard: Callable[[str], None]) -> None:
    keyboard("n\n")
    terminal.when_shown(interrupt)
    assert terminal.type("sync", SHOP, "--strategy", "catalog", "--direct").code == 0
    assert held(terminal) == 40


def test_ctrl_c_without_anybody_to_ask_cancels_a_direct_run_which_can_be_resumed(terminal: Terminal) -> None:
    cancelled = threading.Event()

    def on_page(number: int) -> None:
        if number == 2 and not cancelled.is_set():
            interrupt()
            while terminal.run_row(terminal.latest()).status == "running":
                cancelled.wait(0.01)
            cancelled.set()

    terminal.source.on_page = on_page
    typed = terminal.type("sync", SHOP, "--strategy", "catalog", "--filter-year", "2026", "--direct")
    assert typed.code == 130
    assert f"tallyhook runs resume {terminal.latest()}" in typed.out

    terminal.source.pages_read.clear()
    assert terminal.type("runs", "resume", str(terminal.latest()), "--direct").code == 0
    assert held(terminal) == 40
    assert "0" not in terminal.source.pages_read


def test_reconcile_asks_for_a_full_run(terminal: Terminal) -> None:
    typed = terminal.type("reconcile", SHOP, "--json")
    assert (typed.json["strategy"], typed.json["cause"]) == ("full", "person")


def test_a_backfill_reads_only_the_orders_we_lack(terminal: Terminal) -> None:
    terminal.source.kinds = tuple(Kind)
    terminal.source.order_days = [(date(2026, 11, day), f"O{day}") for day in (20, 21, 25)]
    with terminal.deps.database.begin() as conn:
        catalog.apply(conn, SHOP, [Order("O20", ordered_on="2026-11-20")], read_at=EPOCH, now=EPOCH)
    typed = terminal.type("backfill", "orders", SHOP, "--from", "2026-11-20", "--to", "2026-11-22", "--direct")
    assert typed.code == 0
    assert terminal.source.requests == [("order ids",), ("O21",)]


def test_a_backfill_needs_its_days(terminal: Terminal) -> None:
    assert terminal.type("backfill", "orders", SHOP).code == 2
