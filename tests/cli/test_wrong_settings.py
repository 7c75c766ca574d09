"""Settings that cannot work are named in one line of ours, before anything is made or started."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app import config
from app.cli import main
from app.errors import BadConfiguration, Refused
from app.local.embedded import free_port
from tests.cli.conftest import Typed

ACCOUNT = {"SOURCE": "finale", "ACCOUNT": "acme", "API_KEY": "k", "API_SECRET": "s"}


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Typed]:
    """Types a command in an empty folder with one account and some settings."""

    def type_(*words: str, **settings: str) -> Typed:
        monkeypatch.chdir(tmp_path)
        given = {f"CONNECTIONS__SHOP__{name}": value for name, value in ACCOUNT.items()} | settings
        for name, value in given.items():
            monkeypatch.setenv(f"TALLYHOOK_{name}", value)
        monkeypatch.setattr(sys, "argv", ["tallyhook", *words])
        monkeypatch.setattr("os.execv", lambda *_: sys.exit("it became another process"))
        with pytest.raises(SystemExit) as exit_:
            main()
        said = capsys.readouterr()
        return Typed(int(exit_.value.code or 0), said.out, said.err)

    return type_


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("PORT", "99999", "TALLYHOOK_PORT must be at most 65535"),
        ("PORT", "-1", "TALLYHOOK_PORT must be 0 or more"),
        ("PUBLIC_URL", "hooks.example.com", "a public URL is like https://hooks.example.com"),
        ("PUBLIC_URL", "https://hooks.example.com/a b", "a public URL is like https://hooks.example.com"),
        ("TRUSTED_PROXIES", "10.0.0.1,proxy", "TALLYHOOK_TRUSTED_PROXIES must be addresses"),
        ("CONNECTIONS", "abc", "TALLYHOOK_CONNECTIONS must be given by option"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_what_would_be_right(
    typed: Callable[..., Typed], tmp_path: Path, name: str, value: str, right: str
) -> None:
    done = typed("up", **{name: value})
    assert (done.code, done.err.count("\n"), right in done.err) == (2, 1, True), done.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("value", ["", "10.0.0.1", "10.0.0.0/8, ::1"])
def test_addresses_and_networks_of_proxies_are_taken(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TALLYHOOK_TRUSTED_PROXIES", value)
    assert config.load().trusted_proxies == value


@pytest.mark.parametrize(
    "value", ["", "https://hooks.example.com/", "http://10.0.0.1:8000", "https://a.example/base"]
)
def test_a_public_url_that_leads_to_us_is_taken(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TALLYHOOK_PUBLIC_URL", value)
    assert config.load().public_url == value


@pytest.mark.parametrize("words", [["up"], ["migrate"], ["status"], ["web"], ["worker"], ["clock"]])
@pytest.mark.parametrize(
    ("at", "said"),
    [("missing/x.db", "there is no folder"), ("a-file/x.db", "is not a folder"), ("a-folder", "is a folder")],
)
def test_a_database_file_that_cannot_be_is_named_with_its_folder(
    typed: Callable[..., Typed], tmp_path: Path, words: list[str], at: str, said: str
) -> None:
    (tmp_path / "a-file").touch()
    (tmp_path / "a-folder").mkdir()
    done = typed(*words, DATABASE_URL=f"sqlite:///{tmp_path}/{at}")
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert f"{tmp_path / at.split('/')[0]}" in done.err
    assert said in done.err
    assert "Error" not in done.err


@pytest.mark.parametrize("words", [["up"], ["migrate"], ["demo", "--data", "a-file"]])
def test_a_data_folder_that_cannot_be_made_is_named(
    typed: Callable[..., Typed], tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "a-file").touch()
    done = typed(*words, DATA_DIR="a-file")
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert "the data folder a-file cannot be used" in done.err


def test_a_database_that_does_not_answer_is_told_in_words_of_ours(typed: Callable[..., Typed]) -> None:
    done = typed("status", DATABASE_URL="postgresql://somebody@127.0.0.1:1/shop")
    last = done.err.splitlines()[-1]
    assert (done.code, done.out) == (1, "")
    assert last.startswith("tallyhook: the database does not serve: connection")
    assert "TALLYHOOK_DATABASE_URL" in last


@pytest.mark.parametrize("command", ["migrate", "up"])
def test_what_is_logged_about_a_database_is_no_part_of_an_answer(typed: Callable[..., Typed], command: str) -> None:
    done = typed(command, DATABASE_URL="postgresql://somebody@127.0.0.1:1/shop", REDIS_URL="redis://127.0.0.1:1/0")
    assert "database_lost" not in done.out


def test_a_file_of_settings_that_cannot_be_read_is_named(typed: Callable[..., Typed], tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"TALLYHOOK_PORT=\xff\xfe\n")
    done = typed("status")
    assert (done.code, done.err.count("\n"), str(file) in done.err) == (2, 1, True), done.err


def test_no_port_beyond_the_last_one_is_tried() -> None:
    with pytest.raises(Refused, match="ports 65535 to 65535 are all taken"):
        free_port(65_535, "192.0.2.1")  # no address of this machine


def test_wrong_settings_are_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYHOOK_CONNECTIONS__SHOP", "a-secret-token")
    with pytest.raises(BadConfiguration) as error:
        config.load()
    assert "a-secret-token" not in str(error.value)
