"""The console commands on real data: what a support engineer types at three in the morning must not crash."""

import json
from contextlib import closing
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner, Result

from app.cli.commands import app
from app.domain import Cause, Change, ItemKey, Kind
from app.errors import Refused, Unmappable
from app.stores import owed
from app.stores.guard import holds
from app.stores.letters import dead_letters
from app.stores.letters.dead_letters import DyingMessage
from app.stores.sql.engine import open_database

NOW = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)
KEY = ItemKey("shop", Kind.PRODUCT, "SKU-1")

CONNECTION = {"SOURCE": "finale", "ACCOUNT": "acme", "API_KEY": "k", "API_SECRET": "s"}


@pytest.fixture(autouse=True)
def installation(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """The environment of an installation that has one dead letter and one held batch."""
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setenv("TALLYHOOK_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("COLUMNS", "200")
    for option, value in CONNECTION.items():
        monkeypatch.setenv(f"TALLYHOOK_CONNECTIONS__SHOP__{option}", value)
    with closing(open_database(sqlite_url)) as database, database.begin() as conn:
        owed.owe(conn, "shop", [Change(Kind.PRODUCT, "SKU-1")], Cause.WEBHOOK, NOW)
        try:
            raise Unmappable("price: expected a number, got 'free'")
        except Unmappable as error:
            message = DyingMessage("m1", "sync_item", "live", list(map(str, KEY)), KEY)
            dead_letters.record(conn, message, error, worker="worker@here:1", now=NOW)
        holds.hold(
            conn,
            connection="shop",
            kind=Kind.STOCK,
            run_id=None,
            reason="would zero 100 of 100 rows (100%)",
            summary={"rows_here": 100, "rows_read": 0},
            now=NOW,
        )


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_dead_list_names_the_item_and_its_error() -> None:
    printed = run("dead", "list").output
    assert "shop/product/SKU-1" in printed
    assert "expected a number" in printed


def test_dead_show_tells_every_attempt_with_its_traceback() -> None:
    printed = run("dead", "show", "1").output
    assert "attempt 1" in printed
    assert "Traceback" in printed


def test_dead_replay_leaves_the_letter_to_the_workers_where_nobody_watches() -> None:
    assert "Replay 1 (letter 1) idle. 1 items: 1 waiting." in run("dead", "replay", "1").output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["dead", "list", "state:dead"], "1 letter, 1 cause, 1 item"),
        (["dead", "list", "item:nothing"], "No dead letters match."),
        (["dead", "groups"], "Unmappable-"),
        (["dead", "groups", "--by", "item"], f"{KEY.connection}/{KEY.kind}/"),
        (["dead", "show", "1"], "What to do: The payload has a shape we do not know"),
        (["dead", "discard", "1", "--why", "sold out"], "1 letters are discarded."),
        (["dead", "replays"], "Nothing was ever replayed."),
        (["tokens", "list"], "There are no tokens."),
        (["users", "list"], "There are no users."),
        (["audit", "list"], "Nobody has changed anything yet."),
        (["audit", "verify"], "0 entries, unbroken"),
    ],
)
def test_a_command_says(words: list[str], told: str) -> None:
    assert told in run(*words).output


def test_a_token_is_shown_once_and_listed_without_it() -> None:
    made = run("tokens", "create", "--name", "ci").output.split()[-1]
    assert made.startswith("th_")
    assert made not in run("tokens", "list", "--json").output


def test_what_a_person_does_at_the_terminal_is_in_the_audit_log() -> None:
    run("dead", "discard", "1", "--why", "sold out")
    entry = json.loads(run("audit", "list", "--json").output)["rows"][0]
    assert (entry["action"], entry["why"], entry["who"].split()[0]) == ("letters.discard", "sold out", "cli")


def test_a_letter_is_replayed_only_once() -> None:
    run("dead", "replay", "1")
    assert isinstance(run("dead", "replay", "1").exception, Refused)


def test_a_letter_that_does_not_exist_is_refused_by_number() -> None:
    assert "99" in str(run("dead", "show", "99").exception)


def test_holds_list_tells_what_the_batch_would_do() -> None:
    printed = run("holds", "list").output
    assert "would zero 100 of 100 rows" in printed
    assert "rows read 0" in printed


def test_a_hold_that_waits_says_how_to_decide() -> None:
    assert "tallyhook holds show" in run("holds", "list").output
    assert "tallyhook holds release 1" in run("holds", "show", "1").output


def test_a_hold_that_does_not_exist_cannot_be_released() -> None:
    assert str(run("holds", "release", "77").exception) == "there is no hold 77"


def test_a_number_that_no_hold_can_have_is_a_wrong_command() -> None:
    assert run("holds", "show", "99999999999999999999").exit_code == 2


def test_a_released_hold_is_no_longer_listed() -> None:
    assert run("holds", "release", "1").exit_code == 0
    assert "Nothing is held" in run("holds", "list").output


def test_status_is_json() -> None:
    assert json.loads(run("status").output)["dead_letters"] == 1


def test_ready_exits_with_1_when_no_worker_is_alive() -> None:
    assert run("ready").exit_code == 1


def test_up_without_connections_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for option in CONNECTION:
        monkeypatch.delenv(f"TALLYHOOK_CONNECTIONS__SHOP__{option}")
    said = str(run("up").exception)
    assert ("TALLYHOOK_CONNECTIONS__" in said, "`tallyhook init`" in said) == (True, True)


def test_reconcile_of_an_unknown_connection_is_refused() -> None:
    assert "nobody" in str(run("reconcile", "nobody").exception)
