"""What commands show at 80 columns can be copied, wrong values are refused, and an empty answer says why."""

import pytest
from rich.table import Table

from app.cli import tables
from app.cli.console import console
from app.domain import Delivery, Verdict
from app.flows.access import audit
from app.stores import catalog
from app.stores.inbox import inbox
from app.stores.inbox.inbox import Arrival
from tests.cli.conftest import Terminal
from tests.fakes import EPOCH, SHOP, listing

ID = "LDC2-" + "0123456789abcdef" * 4


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, width: int) -> str:
    monkeypatch.setattr(console, "width", width)
    table = Table("id", "received", "event")
    table.add_row("1", "2026-06-01 03:00:00", ID)
    tables.print_table(table, "none")
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_id_and_time_is_whole_at_any_width(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    out = shown(monkeypatch, capsys, width=width)
    assert ID in out
    assert "2026-06-01 03:00:00" in out


def test_a_table_that_fits_stays_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "┃" in shown(monkeypatch, capsys, width=120)
    assert "┃" not in shown(monkeypatch, capsys, width=80)


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (["drift", SHOP, "--cause", "mised"], "did you mean 'missed'?"),
        (["drift", SHOP, "--change", "nonsense"], "vanished"),
        (["audit", "list", "--action", "leters"], "letters."),
        (["history", SHOP, "--status", "faild"], "failed"),
        (["dead", "list", "state:deda"], "dead"),
        (["inbox", "list", "verdict:acepted"], "accepted"),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(terminal: Terminal, words: list[str], right: str) -> None:
    typed = terminal.type(*words)
    assert typed.code != 0
    assert right in typed.err + typed.out


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (["sync", SHOP, "--strategy", "fulll"], "no 'fulll'; did you mean 'full'? use one of: critical, inventory,"),
        (["tokens", "create", "--name", "x", "--role", "boss"], "no 'boss'; use one of: viewer, operator, admin"),
        (["runs", "cancel", "abc"], "'abc' is not a whole number"),
        (["history", SHOP, "--limit", "0"], "0 is too small; right would be 1 or more"),
        (["history", SHOP, "--limit", "501"], "501 is too large; right would be 500 or less"),
        (["demo", "--products", "0"], "0 is too small; right would be 1 or more"),
        (["demo", "--changes", "-1"], "-1 is too small; right would be 0 or more"),
        (["worker", "--threads", "-1"], "-1 is too small; right would be 0 or more"),
        (["simulate", "square", "--port", "70000"], "70000 is too large; right would be 65535 or less"),
        (["simulate", "square", "--port", "9", "--set", "seed"], "'seed' has no value; right would be seed=VALUE"),
        (["simulate", "square", "--port", "9", "--set", "seeed=3"], "seeed"),
        (["worker", "--queues", "fast"], "no queue 'fast'; use live or bulk"),
        (["audit", "list", "--action", "zzz"], "no action 'zzz'; use one of: audit.archive"),
        (["sync", SHOP, "--strategy", "inventory", "--filter-year", "2025"], "--filter-year is for strategies"),
        (["sync", SHOP, "--strategy", "category"], "strategy category needs --category"),
    ],
)
def test_a_wrong_value_is_refused_in_our_words(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, words: list[str], right: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    typed = terminal.type(*words)
    assert typed.code == 2
    assert right in " ".join((typed.err + typed.out).replace("│", " ").split())


def test_an_entry_of_the_audit_log_reads_as_people_write(terminal: Terminal) -> None:
    terminal.type("tokens", "create", "--name", "ci", "--role", "viewer")
    assert "name ci, role viewer" in terminal.type("audit", "list").out


def test_the_samples_of_a_check_can_be_copied_at_eighty_columns(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal.deps.database.begin() as conn:
        found = [listing(ID, sku=None), listing(f"{ID}-2", sku=None)]
        catalog.apply(conn, SHOP, found, read_at=EPOCH, now=EPOCH)
    monkeypatch.setattr(console, "width", 80)
    lines = terminal.type("validate", SHOP).out.splitlines()
    assert [line for line in lines if f"item {ID}," in line]
    assert [line for line in lines if f"item {ID}-2," in line]


def test_the_vendors_test_event_is_shown_as_such(terminal: Terminal) -> None:
    delivery = Delivery("e1", "webhooks.test", (), set_aside=Verdict.TEST)
    with terminal.deps.database.begin() as conn:
        inbox.accept(conn, [Arrival(SHOP, delivery, {}, b"{}", EPOCH)])
    number = terminal.type("inbox", "list", "since:9999d", "--json").json["rows"][0]["id"]
    assert "the vendor's test event arrived" in terminal.type("inbox", "show", str(number)).out


def test_help_has_examples(terminal: Terminal) -> None:
    assert "Examples" in terminal.type("--help").out


def test_an_empty_answer_says_why(terminal: Terminal) -> None:
    assert "tallyhook reconcile" in terminal.type("drift", SHOP).out
    assert "without --run" in terminal.type("drift", SHOP, "--cause", "missed").out


def test_every_action_that_is_noted_can_be_asked_for(terminal: Terminal) -> None:
    for words in (["connections", "pause", SHOP], ["tokens", "create", "--name", "ci"], ["reconcile", SHOP]):
        assert terminal.type(*words).code == 0
    noted = {row["action"] for row in terminal.type("audit", "list", "--json").json["rows"]}
    assert noted
    assert noted <= set(audit.ACTIONS)
