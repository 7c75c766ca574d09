"""Every command shows how it is used, in words that it understands."""

import shlex
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from app.cli.commands import app
from app.cli.examples import EXAMPLES, commands_of

COMMANDS: dict[str, Any] = dict(commands_of(typer.main.get_command(app)))
SHOWN = [(path, example) for path, examples in EXAMPLES.items() for example in examples]


def test_every_command_that_takes_something_has_an_example() -> None:
    taking = {path for path, one in COMMANDS.items() if {param.name for param in one.params} - {"as_json"}}
    assert taking == EXAMPLES.keys()


@pytest.mark.parametrize(("path", "example"), SHOWN, ids=[example for _, example in SHOWN])
def test_an_example_is_understood(path: str, example: str) -> None:
    words = shlex.split(example.partition(" > ")[0].replace("events.jsonl", "-"))
    depth = len(path.split())
    assert words[:depth] == path.split()
    COMMANDS[path].make_context(path, words[depth:])


def test_the_help_of_a_command_ends_with_its_examples() -> None:
    shown = CliRunner().invoke(app, ["sync", "--help"]).output
    assert "tallyhook sync shop --strategy full --dry-run" in " ".join(shown.split())
