"""``tallyhook prove``: its report, its exit code, and what it refuses."""

import pytest
from typer.testing import CliRunner

from app.cli.commands import app
from app.errors import BadConfiguration


def test_a_proof_that_finds_nothing_says_what_it_did_and_ends_well() -> None:
    result = CliRunner().invoke(app, ["prove", "--runs", "2", "--faults", "hooks-lost,hooks-doubled"])
    assert result.exit_code == 0, result.output
    assert "Nothing was found in 2 seeds." in result.output
    assert "webhooks that the vendor never sends" in result.output
    assert "Every table equals its source" in result.output


def test_a_single_seed_can_be_repeated() -> None:
    result = CliRunner().invoke(app, ["prove", "--seed", "7", "--faults", "none"])
    assert result.exit_code == 0, result.output
    assert "1 seeds:" in result.output


def test_a_fault_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadConfiguration, match="use one of: hooks-lost"):
        CliRunner().invoke(app, ["prove", "--faults", "fire"], catch_exceptions=False)


def test_sqlite_named_as_the_database_means_sqlite_files() -> None:
    result = CliRunner().invoke(app, ["prove", "--runs", "1", "--faults", "none", "--database", "sqlite"])
    assert result.exit_code == 0, result.output
    assert "Nothing was found in 1 seeds." in result.output
