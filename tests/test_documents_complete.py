"""What the documents name exists, and what exists is named: commands, settings, operations, states, filter keys, figures."""

import re
from collections.abc import Collection
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import AliasChoices

from app.cli import codes
from app.cli.commands import app
from app.cli.examples import commands_of
from app.config import Settings
from app.domain import ConnectionState, Kind, Options, Role, Status, Strategy, Verdict
from app.rules.calls.lanes import Lane
from app.rules.drift.drift import DriftCause
from app.rules.runs.jobs import JOBS
from app.rules.settings import PREFIX
from app.rules.spellings import DRIFT_CHANGES
from app.stores import replays
from app.stores.guard import holds
from app.stores.inbox import inbox_search
from app.stores.letters import letter_search
from app.web.api import document
from app.web.api.operations import OPERATIONS
from app.web.prometheus import FAMILIES
from tests.documents import DOCUMENTS, first_words, lines_with_code, read, rows, section, spans

COMMANDS: dict[str, Any] = dict(commands_of(typer.main.get_command(app)))
GROUPS = {name.rpartition(" ")[0] for name in COMMANDS} - {""}
TEXT = "\n".join(path.read_text() for path in DOCUMENTS)
TYPED = re.compile(r"(?<![\w.-])tallyhook((?: [a-z][a-z-]*)+)", re.MULTILINE)


def commands_in(line: str) -> set[str]:
    """The commands that a line names, as far as the words after ``tallyhook`` are theirs."""
    names = set()
    for words in (match.split() for match in TYPED.findall(line)):
        names.add(" ".join(words[: 2 if words[0] in GROUPS else 1]))
    return names


def options_of(command: str) -> set[str]:
    return {
        "--help",
        *chain.from_iterable((*param.opts, *param.secondary_opts) for param in COMMANDS[command].params),
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_a_document_names_exists(document: Path) -> None:
    named = set(chain.from_iterable(map(commands_in, lines_with_code(document.read_text()))))
    assert named - set(COMMANDS) - GROUPS == set()


def test_every_command_is_in_the_table_of_commands() -> None:
    assert set(chain.from_iterable(map(commands_in, first_words(section("docs/api.md", "## Commands"))))) == set(
        COMMANDS
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_option_beside_a_command_is_one_of_its_options(document: Path) -> None:
    wrong = []
    for line in lines_with_code(document.read_text()):
        known = set(chain.from_iterable(options_of(name) for name in commands_in(line) if name in COMMANDS))
        wrong += [option for option in re.findall(r"(?<!\S)--[a-z-]+", line) if known and option not in known]
    assert wrong == []


def settings() -> set[str]:
    """Every name that a setting has in the environment."""
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        aliases = field.validation_alias
        names |= (
            {str(choice) for choice in aliases.choices}
            if isinstance(aliases, AliasChoices)
            else {PREFIX + name.upper()}
        )
    return names


def test_every_setting_that_a_document_names_exists() -> None:
    known = settings()
    named = {name.partition("__")[0] for name in re.findall(rf"{PREFIX}[A-Z_*]+[A-Z*]", TEXT)}
    assert [name for name in named if not any(fnmatch(one, name) for one in known)] == []


def test_every_setting_is_in_the_table_of_settings() -> None:
    named = first_words(section("docs/operating.md", "## Settings"))
    assert {name for name in named if "__" not in name} == settings()


def operations() -> set[str]:
    paths = document.document(("shop",), Role.ADMIN)["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def in_braces(operation: str) -> str:
    """As OpenAPI spells it; a connection's slug stands for any connection."""
    slug = re.sub(r"/api/sync-[a-z]+(?=/|$)", "/api/sync-{connection}", operation)
    return re.sub(r"<(\w+)>", r"{\1}", slug)


def test_every_operation_that_a_document_names_exists() -> None:
    named = {in_braces(span) for span in spans(TEXT) if re.match(r"(GET|POST|PUT|DELETE|PATCH) /", span)}
    assert named - operations() == set()


def test_every_operation_is_in_the_table_of_operations() -> None:
    assert {in_braces(word) for word in first_words(section("docs/api.md", "## Operations"))} == operations()


def test_the_table_of_operations_says_the_least_role_of_each() -> None:
    documented = {in_braces(spans(row[0])[0]): row[1] for row in rows(section("docs/api.md", "## Operations"))}
    least = {f"{one.method} {one.url}": str(one.least) for one in OPERATIONS}
    assert {name: documented[name] for name in least} == least


HOLD_STATES = {holds.KEEPING, holds.HELD, holds.RELEASED, holds.DISMISSED, holds.APPLIED, holds.PASSED, holds.EXPIRED}
STATES: dict[str, Collection[str]] = {
    "run": tuple(Status),
    "connection": tuple(ConnectionState),
    "delivery": tuple(Verdict),
    "dead letter": letter_search.STATES,
    "item of a replay": replays.STATES,
    "settlement": {*inbox_search.OUTCOMES} - {"owed"},
    "hold": HOLD_STATES,
    "difference": {*DRIFT_CHANGES.words, "dry_run", "held"},
}


@pytest.mark.parametrize("thing", STATES)
def test_the_states_of_a_thing_are_documented_without_one_missing_or_too_many(thing: str) -> None:
    documented = {
        row[0]: {word for word in spans(row[1]) if ":" not in word}
        for row in rows(section("docs/words.md", "## States"))
    }
    assert documented[thing] == set(STATES[thing])


def test_the_reasons_of_differences_are_documented_without_one_missing_or_too_many() -> None:
    assert first_words(section("docs/words.md", "## Reasons of differences")) == set(DriftCause)


def test_the_strategies_are_documented_without_one_missing_or_too_many() -> None:
    assert first_words(section("docs/api.md", "## Runs")) == set(Strategy)


def test_the_options_of_a_run_are_documented_without_one_missing_or_too_many() -> None:
    match = re.search(r"^Options have [^:]*: ([^.]*)\.", section("docs/api.md", "## Runs"), re.MULTILINE)
    assert match is not None
    assert set(spans(match[1])) == set(Options.__struct_encode_fields__)


@pytest.mark.parametrize(("thing", "keys"), [("letters", letter_search.KEYS), ("the inbox", inbox_search.KEYS)])
def test_the_keys_of_a_filter_are_documented_without_one_missing_or_too_many(
    thing: str, keys: Collection[str]
) -> None:
    match = re.search(rf"^- Keys of {thing}: (.*)\.$", section("docs/api.md", "## Filters"), re.MULTILINE)
    assert match is not None
    assert set(spans(match[1])) == set(keys)


def test_every_exit_code_is_documented() -> None:
    documented = {int(row[0]) for row in rows(section("docs/api.md", "## Exit codes"))}
    assert documented == {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, int)}


def test_every_status_of_an_error_is_documented() -> None:
    documented = {int(one) for row in rows(section("docs/api.md", "## Errors")) for one in row[0].split(", ")}
    assert documented == set(document.ERRORS)


def test_every_job_and_when_it_runs_is_documented() -> None:
    table = rows(section("docs/operating.md", "## Schedules"))
    documented = {spans(row[0])[0]: next(iter(spans(row[1])), None) for row in table}
    assert documented == {name: job.cron for name, job in JOBS.items()}


def test_the_metrics_are_documented_without_one_missing_or_too_many() -> None:
    assert first_words(section("docs/operating.md", "## Metrics")) == set(FAMILIES)


def test_every_kind_is_documented() -> None:
    glossary = {row[0]: row[1] for row in rows(section("docs/words.md", "## Glossary"))}
    assert set(spans(glossary["kind"])) == set(Kind)


def test_every_lane_is_documented_in_order() -> None:
    glossary = {row[0]: row[1] for row in rows(section("docs/words.md", "## Glossary"))}
    assert glossary["budget, lane"].rpartition(": ")[2] == ", ".join(lane.word for lane in Lane)


def test_every_role_is_documented() -> None:
    assert re.findall(r"^\| \*(\w+)\*", read("docs/security.md"), re.MULTILINE) == list(Role)


def test_every_target_of_make_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|\$ |`)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert named - targets == set()
