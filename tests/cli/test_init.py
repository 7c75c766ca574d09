"""``tallyhook init``, against simulated accounts over real HTTP: what works is written down, what does not is not."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from dotenv import dotenv_values

from app import config, sources
from app.cli import main
from app.sources.finale.webhook import signing_key
from app.sources.square.setup import EVENTS
from tests.cli.conftest import Typed

TOKEN = "simulated-token"
PUBLIC = "https://hooks.example.com"
URL = f"{PUBLIC}/webhooks/square"
SQUARE, FINALE = "TALLYHOOK_CONNECTIONS__SQUARE__", "TALLYHOOK_CONNECTIONS__FINALE__"


@dataclass
class Vendor:
    """A simulated account."""

    http: httpx.Client
    base: str

    def faults(self, **switches: Any) -> None:
        assert self.http.post("/_sim/faults", json=switches).status_code == 200

    def subscriptions(self) -> list[dict[str, Any]]:
        answer = self.http.get(
            "/v2/webhooks/subscriptions", params={"include_disabled": "true"}, headers=self.headers
        )
        return list(answer.json().get("subscriptions", []))

    def subscribe(self, **fields: Any) -> dict[str, Any]:
        wanted = {"notification_url": URL, "event_types": list(EVENTS), "api_version": "2026-09-16", **fields}
        answer = self.http.post("/v2/webhooks/subscriptions", json={"subscription": wanted}, headers=self.headers)
        return dict(answer.json()["subscription"])

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {TOKEN}"}


def simulated(name: str) -> Iterator[Vendor]:
    app = sources.simulator(name, {"products": "20"})
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        threading.Event().wait(0.005)
    base = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    with httpx.Client(base_url=base, timeout=60) as http:
        yield Vendor(http, base)
    server.should_exit = True
    thread.join(60)


@pytest.fixture
def square() -> Iterator[Vendor]:
    yield from simulated("square")


@pytest.fixture
def finale() -> Iterator[Vendor]:
    yield from simulated("finale")


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file of a folder in which nothing else is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".env"


Init = Callable[..., Typed]


@pytest.fixture
def init(env: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Init:
    def type_(*words: str) -> Typed:
        monkeypatch.setattr(sys, "argv", ["tallyhook", "init", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        said = capsys.readouterr()
        return Typed(int(exit_.value.code or 0), said.out, said.err)

    return type_


def of_square(square: Vendor, *more: str, token: str = TOKEN) -> list[str]:
    return ["square", "--set", f"access_token={token}", "--set", f"base_url={square.base}", *more]


def of_finale(finale: Vendor, *more: str) -> list[str]:
    given = {"account": "demo", "api_key": "simulated-key", "api_secret": "simulated-secret", "base_url": finale.base}
    return ["finale", *(word for name, value in given.items() for word in ("--set", f"{name}={value}")), *more]


def test_wrong_credentials_are_told_in_one_line_with_what_would_be_right(
    init: Init, env: Path, square: Vendor
) -> None:
    typed = init(*of_square(square, "--public-url", PUBLIC, token="not-this-one"))
    assert (typed.code, typed.err.count("\n"), "Developer Console" in typed.err) == (4, 1, True)
    assert (env.exists(), square.subscriptions()) == (False, [])


def test_a_refusal_repeats_no_secret(init: Init, square: Vendor) -> None:
    assert "not-this-one" not in init(*of_square(square, token="not-this-one")).err


def test_an_account_that_is_not_there_is_told_and_nothing_is_written(init: Init, env: Path, finale: Vendor) -> None:
    typed = init(*of_finale(finale, "--set", "account=other"))
    assert (typed.code, "'other'" in typed.err, env.exists()) == (4, True, False)


def test_what_is_missing_is_named(init: Init) -> None:
    typed = init("finale", "--set", "account=demo")
    assert (typed.code, "--set api_key=..., --set api_secret=..." in typed.err) == (2, True)


def test_a_misspelt_option_is_named_with_its_neighbour(init: Init, square: Vendor) -> None:
    assert "did you mean access_token?" in init(*of_square(square, "--set", "acces_token=x")).err


def test_a_misspelt_option_is_named_before_what_is_missing(init: Init) -> None:
    typed = init("finale", "--set", "acount=demo")
    assert (typed.code, "did you mean account?" in typed.err, "missing" in typed.err) == (2, True, False)


def test_what_is_written_is_its_owners_alone_and_makes_the_connection(init: Init, env: Path, square: Vendor) -> None:
    assert init(*of_square(square)).code == 0
    assert env.stat().st_mode & 0o777 == 0o600
    assert config.load().accounts()["square"][1]["access_token"] == TOKEN


def test_no_secret_is_shown(init: Init, square: Vendor, env: Path) -> None:
    typed = init(*of_square(square, "--public-url", PUBLIC))
    key = dotenv_values(env)[f"{SQUARE}WEBHOOK_KEYS"]
    assert key
    assert [secret for secret in (TOKEN, key) if secret in typed.out + typed.err] == []


def test_a_secret_can_come_from_a_file(init: Init, env: Path, square: Vendor, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert init(*of_square(square, token="@token")).code == 0
    assert dotenv_values(env)[f"{SQUARE}ACCESS_TOKEN"] == TOKEN


def test_other_settings_stay(init: Init, env: Path, square: Vendor) -> None:
    env.write_text("# mine\nTALLYHOOK_LOG_JSON=true\n")
    init(*of_square(square))
    assert env.read_text().startswith("# mine\nTALLYHOOK_LOG_JSON=true\n\n# square")


def test_a_connection_is_not_overwritten_unless_it_is_to_be(init: Init, env: Path, square: Vendor) -> None:
    init(*of_square(square))
    before = env.read_text()
    typed = init(*of_square(square, "--set", "requests_per_second=5"))
    assert (typed.code, "--replace" in typed.err, env.read_text() == before) == (4, True, True)
    assert init(*of_square(square, "--replace", "--set", "requests_per_second=5")).code == 0
    assert dotenv_values(env)[f"{SQUARE}REQUESTS_PER_SECOND"] == "5"


def test_a_connection_of_the_environment_cannot_be_written_anew(
    init: Init, env: Path, square: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{SQUARE}ACCESS_TOKEN", "x")
    typed = init(*of_square(square, "--replace"))
    assert (typed.code, "environment" in typed.err, env.exists()) == (4, True, False)


def test_every_kind_is_counted_and_its_first_rows_are_shown(init: Init, square: Vendor) -> None:
    kinds = {one["kind"]: one for one in init(*of_square(square, "--json")).json["kinds"]}
    there = {kind: len(square.http.get(f"/_sim/truth/{kind}").json()) for kind in ("product", "stock", "location")}
    assert {kind: kinds[kind]["found"] for kind in there} == there
    assert len(kinds["location"]["rows"]) == there["location"]
    assert all(one["rows"] for one in kinds.values())


def test_orders_that_are_only_named_are_fetched_to_be_shown(init: Init, finale: Vendor) -> None:
    finale.http.post("/_sim/changes", json={"count": 5, "kinds": ["order"]})
    kinds = {one["kind"]: one for one in init(*of_finale(finale, "--json")).json["kinds"]}
    assert (kinds["order"]["found"] > 0, len(kinds["order"]["rows"]) > 0) == (True, True)


def test_the_table_fits_eighty_columns(init: Init, square: Vendor) -> None:
    rows = [line for line in init(*of_square(square)).out.splitlines() if line[:1] in "│┃┏└┡"]
    assert max(map(len, rows)) <= 80


def test_a_kind_that_may_not_be_read_is_named_and_the_rest_is_written(init: Init, env: Path, square: Vendor) -> None:
    square.faults(forbidden="vendor")
    typed = init(*of_square(square))
    assert (typed.code, "vendor: may not be read" in typed.out, env.exists()) == (0, True, True)


def test_the_subscription_is_registered_with_its_url_version_and_events(
    init: Init, env: Path, square: Vendor
) -> None:
    init(*of_square(square, "--public-url", f"{PUBLIC}/"))
    (one,) = square.subscriptions()
    assert (one["notification_url"], one["api_version"], one["event_types"]) == (URL, "2026-09-16", list(EVENTS))
    written = dotenv_values(env)
    assert (written[f"{SQUARE}WEBHOOK_URL"], written["TALLYHOOK_PUBLIC_URL"]) == (URL, PUBLIC)


def test_a_subscription_of_the_same_url_is_used_again(init: Init, env: Path, square: Vendor) -> None:
    made = square.subscribe()
    init(*of_square(square, "--public-url", PUBLIC))
    assert [one["id"] for one in square.subscriptions()] == [made["id"]]
    assert dotenv_values(env)[f"{SQUARE}WEBHOOK_KEYS"] == made["signature_key"]


def test_a_subscription_that_sends_too_little_is_put_right(init: Init, square: Vendor) -> None:
    square.subscribe(enabled=False, event_types=["invoice.created", "order.created"], api_version="2021-12-15")
    typed = init(*of_square(square, "--public-url", PUBLIC))
    (one,) = square.subscriptions()
    assert (one["enabled"], one["api_version"], set(EVENTS) <= set(one["event_types"])) == (True, "2026-09-16", True)
    assert "invoice.created" in one["event_types"]
    assert "with a new api version and enabled and event types" in typed.out


def test_a_subscription_with_a_trailing_slash_is_used_as_it_is_registered(
    init: Init, env: Path, square: Vendor
) -> None:
    square.subscribe(notification_url=f"{URL}/")
    init(*of_square(square, "--public-url", PUBLIC))
    assert (len(square.subscriptions()), dotenv_values(env)[f"{SQUARE}WEBHOOK_URL"]) == (1, f"{URL}/")


def test_where_the_token_may_not_register_a_person_is_told_what_to_click(
    init: Init, env: Path, square: Vendor
) -> None:
    square.faults(oauth_token=True)
    typed = init(*of_square(square, "--public-url", PUBLIC))
    assert (typed.code, env.exists(), f"notification URL {URL}" in typed.out) == (0, True, True)
    assert "Webhooks > Subscriptions > Add subscription" in typed.out


def test_an_url_that_square_does_not_take_is_told_with_its_words(init: Init, square: Vendor) -> None:
    said = init(*of_square(square, "--public-url", "http://hooks.example.com")).out
    assert "did not take the webhook subscription (INVALID_VALUE: URL is not valid.)" in said


def test_without_webhooks_nothing_is_registered(init: Init, square: Vendor) -> None:
    init(*of_square(square, "--public-url", PUBLIC, "--no-webhooks"))
    assert square.subscriptions() == []


def test_without_a_public_url_changes_come_by_polls_and_it_is_said_what_to_do_later(
    init: Init, square: Vendor
) -> None:
    assert "tallyhook init square --name square --replace --public-url" in init(*of_square(square)).out


def test_a_public_url_that_is_none_is_refused(init: Init, env: Path, square: Vendor) -> None:
    typed = init(*of_square(square, "--public-url", "hooks.example.com"))
    assert (typed.code, "https://hooks.example.com" in typed.err, env.exists()) == (2, True, False)


def test_a_public_url_with_a_space_in_it_is_refused(init: Init, square: Vendor) -> None:
    typed = init(*of_square(square, "--public-url", "https://hooks.example.com/a b"))
    assert (typed.code, "a public URL is like" in typed.err, square.subscriptions()) == (2, True, [])


def test_a_public_url_with_the_path_of_a_connection_is_refused(init: Init, square: Vendor) -> None:
    typed = init(*of_square(square, "--public-url", URL))
    assert (typed.code, f"without {URL.removeprefix(PUBLIC)}" in typed.err) == (2, True)


def test_a_secret_for_the_bridge_is_made_once(init: Init, env: Path, finale: Vendor) -> None:
    init(*of_finale(finale, "--public-url", PUBLIC))
    made = dotenv_values(env)[f"{FINALE}WEBHOOK_SECRETS"]
    assert made
    assert len(signing_key(made)) == 32
    init("finale", "--replace")
    assert dotenv_values(env)[f"{FINALE}WEBHOOK_SECRETS"] == made


def test_another_account_of_a_system_has_a_name_of_its_own(init: Init, square: Vendor) -> None:
    assert init(*of_square(square, "--name", "second-shop")).code == 0
    assert config.load().accounts()["second-shop"][0] == "square"


def test_a_name_that_no_setting_could_carry_is_refused(init: Init, square: Vendor) -> None:
    assert (typed := init(*of_square(square, "--name", "My Shop"))).code == 2, typed.err


def test_a_program_gets_one_document_without_secrets(init: Init, square: Vendor) -> None:
    typed = init(*of_square(square, "--public-url", PUBLIC, "--json"))
    assert json.loads(typed.out)["settings"][0] == f"{SQUARE}ACCESS_TOKEN"
    assert TOKEN not in typed.out
