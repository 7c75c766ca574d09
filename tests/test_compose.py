"""The compose file opens no door by itself: no password that others know, nobody is root, nothing listens to the world."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

TEXT = (Path(__file__).parents[1] / "docker-compose.yml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
OURS = ("web", "worker", "bulk", "clock")


def test_every_password_has_to_be_given() -> None:
    named = re.findall(r"\$\{(\w*PASSWORD\w*)(:\?[^}]+)?", TEXT)
    assert {name for name, _ in named} == {"POSTGRES_PASSWORD", "VALKEY_PASSWORD"}
    assert [name for name, demand in named if not demand] == []


def test_valkey_asks_for_a_password_and_ours_give_it() -> None:
    assert "--requirepass" in SERVICES["valkey"]["command"]
    assert "redis://:${VALKEY_PASSWORD" in SERVICES["worker"]["environment"]["REDIS_URL"]


@pytest.mark.parametrize("name", OURS)
def test_a_process_of_ours_may_do_nothing_but_its_work(name: str) -> None:
    service = SERVICES[name]
    assert (service["user"], service["read_only"], service["cap_drop"]) == ("10001:10001", True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OURS)
def test_a_process_of_ours_cannot_change_its_program(name: str) -> None:
    assert "venv:/opt/venv:ro" in SERVICES[name]["volumes"]


def test_only_the_web_is_reached_and_only_from_this_machine() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(ports) == ["web"]
    assert [port.startswith("127.0.0.1:") for port in ports["web"]] == [True]


def test_only_what_runs_is_installed() -> None:
    (script,) = [word for word in SERVICES["setup"]["command"] if "pip install" in word]
    assert re.findall(r"--require-hashes -r (\S+)", script) == ["/tmp/src/requirements.lock"]
