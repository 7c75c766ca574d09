"""Every command but those that keep running takes ``--json``, and then its whole standard output is one document."""

import inspect
import io
import json
import sys
from collections.abc import Iterable, Iterator

import pytest
import typer

from app.cli.commands import app
from app.domain import Cause, Change, Delivery, ItemKey, Kind, Strategy
from app.errors import Unmappable
from app.stores import catalog, owed
from app.stores.guard import holds
from app.stores.inbox import inbox
from app.stores.inbox.inbox import Arrival
from app.stores.letters import dead_letters
from app.stores.letters.dead_letters import DyingMessage
from tests.cli.conftest import Terminal
from tests.fakes import EPOCH, SHOP, listing

KEEP_RUNNING = {"demo", "up", "web", "worker", "clock", "simulate"}

LOOKS = {
    "audit list": [],
    "audit verify": [],
    "check": [],
    "connections check": [SHOP],
    "connections list": [],
    "dead groups": [],
    "dead list": [],
    "dead preview": ["LETTER"],
    "dead replays": [],
    "dead show": ["LETTER"],
    "drift": [SHOP],
    "failed": [SHOP],
    "gaps": [SHOP, "--from", "2026-01-01", "--to", "2026-01-02"],
    "guard test": ["--disasters", "0", "--lives", "0"],
    "history": [SHOP],
    "holds list": [],
    "holds show": ["HOLD"],
    "inbox alerts": [],
    "inbox export": [],
    "inbox gaps": [],
    "inbox list": [],
    "inbox show": ["EVENT"],
    "items asof": ["A", "2h"],
    "items find": ["A"],
    "items history": ["A"],
    "items show": ["A"],
    "prove": ["--runs", "0"],
    "ready": [],
    "runs show": ["RUN"],
    "schedule show": [SHOP],
    "status": [],
    "subscribers list": [],
    "tokens list": [],
    "users list": [],
    "validate": [SHOP],
}
"""What only looks, with the arguments of a question that there is an answer to."""

DEEDS = {
    "backfill orders": [SHOP, "--from", "2026-01-01", "--to", "2026-01-02", "--no-wait"],
    "connections pause": [SHOP],
    "dead discard": ["LETTER", "--why", "a test"],
    "dead edit": ["LETTER", "--args", '["shop", "product", "B"]', "--why", "a test"],
    "dead replay": ["LETTER", "--no-wait"],
    "holds dismiss": ["HOLD"],
    "inbox import": ["-", "--trust"],
    "inbox replay": ["EVENT"],
    "migrate": [],
    "reconcile": [SHOP],
    "runs cancel": ["RUN"],
    "schedule set": [SHOP, "full", "0 4 * * *"],
    "subscribers create": ["--name", "books", "--url", "http://127.0.0.1:1/"],
    "sync": [SHOP, "--strategy", "full", "--no-wait"],
    "tokens create": ["--name", "ci"],
    "users add": ["ada", "--password-stdin"],
}
"""What changes something, on an installation that has one of each thing."""

AFTER = {
    "connections resume": (["connections", "pause", SHOP], [SHOP]),
    "dead abort": (["dead", "replay", "LETTER", "--no-wait"], ["REPLAY"]),
    "dead restore": (["dead", "discard", "LETTER", "--why", "a test"], ["LETTER"]),
    "runs resume": (["runs", "cancel", "RUN"], ["RUN", "--no-wait"]),
    **{
        f"subscribers {verb}": (
            ["subscribers", "create", "--name", "books", "--url", "http://127.0.0.1:1/"],
            ["SUBSCRIBER"],
        )
        for verb in ("show", "test", "pause", "resume", "delete")
    },
    "tokens revoke": (["tokens", "create", "--name", "ci"], ["TOKEN"]),
    "users disable": (["users", "add", "ada", "--password-stdin"], ["ada"]),
    "users enable": (["users", "add", "ada", "--password-stdin"], ["ada"]),
    "users password": (["users", "add", "ada", "--password-stdin"], ["ada", "--password-stdin"]),
}
"""What needs something else to be done before."""

NEWEST = {
    "EVENT": ("inbox", "list"),
    "HOLD": ("holds", "list"),
    "LETTER": ("dead", "list", "state:dead,discarded"),
    "REPLAY": ("dead", "replays"),
    "RUN": ("history", SHOP),
    "SUBSCRIBER": ("subscribers", "list"),
    "TOKEN": ("tokens", "list"),
}
"""What lists the things whose numbers stand in the arguments; the newest is meant."""

ELSEWHERE = {"copy-database", "init", "holds release", "holds meant", "forecast backtest"}
"""Tried below, in test_init and in test_forecast; a hold is released as it is dismissed."""


def commands(group: typer.Typer, begin: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Every command with the names of its parameters."""
    for one in group.registered_commands:
        assert one.callback is not None
        name = one.name or one.callback.__name__.replace("_", "-")
        yield " ".join((*begin, name)), set(inspect.signature(one.callback).parameters)
    for each in group.registered_groups:
        assert each.typer_instance is not None
        yield from commands(each.typer_instance, (*begin, str(each.name)))


def test_every_command_that_ends_takes_json() -> None:
    assert {name for name, parameters in commands(app) if "as_json" not in parameters} == KEEP_RUNNING


def test_every_command_is_tried_here_or_said_to_be_tried_elsewhere() -> None:
    assert {name for name, _ in commands(app)} == {*LOOKS, *DEEDS, *AFTER, *ELSEWHERE, *KEEP_RUNNING}


@pytest.fixture
def furnished(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """An installation with a run, a delivery, a dead letter and a hold."""
    key = ItemKey(SHOP, Kind.PRODUCT, "P01")
    delivery = Delivery("e1", "changed", [Change(Kind.PRODUCT, "P02")])
    with terminal.deps.database.begin() as conn:
        catalog.apply(conn, SHOP, [listing("A")], read_at=EPOCH, now=EPOCH)
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, "P01")], Cause.WEBHOOK, EPOCH)
        inbox.accept(conn, [Arrival(SHOP, delivery, {"x-word": "friend"}, b"{}", terminal.deps.now())])
        message = DyingMessage("m1", "sync_item", "live", list(map(str, key)), key)
        dead_letters.record(conn, message, Unmappable("price: free"), worker="here", now=EPOCH)
        holds.hold(
            conn,
            connection=SHOP,
            kind=Kind.STOCK,
            run_id=None,
            reason="would zero 100 of 100 rows (100%)",
            summary={"rows_here": 100, "rows_read": 0},
            now=EPOCH,
        )
    terminal.ask(Strategy.INCREMENTAL)
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse battery staple\n" * 3))
    monkeypatch.setenv("TALLYHOOK_SECRET_KEY", "w5BKJ0uTPIyE6pTYCk2yE6mXRYVnUVjRUkIhbG0BvbM=")
    return terminal


def ready(terminal: Terminal, words: Iterable[str]) -> list[str]:
    """The words, with numbers for what they name."""
    return [str(newest(terminal, word)) if word in NEWEST else word for word in words]


def newest(terminal: Terminal, thing: str) -> int:
    listed = terminal.type(*NEWEST[thing], "--json").json
    return int((listed["rows"] if isinstance(listed, dict) else listed)[0]["id"])


@pytest.mark.parametrize("command", LOOKS)
def test_a_look_is_one_json_document(furnished: Terminal, command: str) -> None:
    typed = furnished.type(*command.split(), *ready(furnished, LOOKS[command]), "--json")
    assert typed.code in (0, 1), typed.err
    assert json.loads(typed.out) is not None


@pytest.mark.parametrize("command", DEEDS)
def test_a_deed_is_told_as_one_json_document(
    furnished: Terminal, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if command in ("reconcile", "sync", "backfill orders"):
        furnished.type(*ready(furnished, ("runs", "cancel", "RUN")))  # one run at a time
        furnished.source.kinds = tuple(Kind)
    if command == "inbox import":
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    typed = furnished.type(*command.split(), *ready(furnished, DEEDS[command]), "--json")
    assert typed.code in (0, 1), typed.err
    assert json.loads(typed.out) is not None


@pytest.mark.parametrize("command", AFTER)
def test_a_deed_after_another_is_told_as_one_json_document(furnished: Terminal, command: str) -> None:
    before, arguments = AFTER[command]
    assert furnished.type(*ready(furnished, before)).code == 0
    typed = furnished.type(*command.split(), *ready(furnished, arguments), "--json")
    assert typed.code in (0, 1), typed.err
    assert json.loads(typed.out) is not None


def test_a_copied_database_is_told_as_one_json_document(terminal: Terminal) -> None:
    assert terminal.type("migrate").code == 0
    typed = terminal.type("copy-database", "sqlite:///another.db", "--json")
    assert (typed.code, typed.json["rows"] >= 0) == (0, True), typed.err
