"""The layers hold: who may import whom, and where a vendor's name may be spelled."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from app import sources

ROOT = Path(__file__).parent.parent
MODULES = sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("workers/**/*.py")])

LAYERS = {
    "app.domain": 0,
    "app.errors": 0,
    "app.rules": 1,
    "app.config": 2,
    "app.sources": 2,
    "app.stores": 2,
    "app.channels": 2,
    "app.local": 2,
    "app.flows": 3,
    "app.wiring": 4,
    "app.prove": 4,  # picks the parts as well, for a simulated world
    "app.web": 5,
    "app.cli": 5,
    "workers": 5,
}
EDGES = ("app.cli", "app.web", "app.local", "workers")
OPENS_THE_DATABASE = {"app.cli.database"}
"""Its commands are about the database itself: they open one, or two, before there are any parts to hand to a flow."""

LONGEST_FILE = 320
HTTPX_CALLS = {f"httpx.{name}" for name in ("Client", "AsyncClient", "get", "post", "put", "delete", "request")}


def name_of(module: Path) -> str:
    parts = module.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(name: str) -> str | None:
    return max((room for room in LAYERS if name == room or name.startswith(room + ".")), key=len, default=None)


def imports_of(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(module: Path) -> Iterator[str]:
    return (name for name in imports_of(module) if room_of(name) is not None)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_imports_only_from_a_lower_layer_or_its_own_room(module: Path) -> None:
    here = room_of(name_of(module))
    if here is None:
        assert name_of(module) == "app"
        return
    for target in ours(module):
        there = room_of(target)
        assert there is not None
        assert there == here or LAYERS[there] < LAYERS[here], f"{name_of(module)} may not import {target}"


@pytest.mark.parametrize("module", [m for m in MODULES if name_of(m).startswith(EDGES)], ids=name_of)
def test_an_edge_reads_and_writes_only_through_flows(module: Path) -> None:
    """So that one rule, in flows, says who may see what."""
    stores = [name for name in ours(module) if room_of(name) == "app.stores"]
    assert stores == [] or name_of(module) in OPENS_THE_DATABASE


@pytest.mark.parametrize("module", sorted(ROOT.glob("app/sources/*/**/*.py")), ids=name_of)
def test_a_vendor_folder_knows_no_other_vendor(module: Path) -> None:
    vendor = module.relative_to(ROOT / "app/sources").parts[0]
    others = [f"app.sources.{name}" for name in sources.names() if name != vendor]
    assert not [name for name in imports_of(module) if name.startswith(tuple(others))]


@pytest.mark.parametrize("module", [m for m in MODULES if "sources" not in m.parts], ids=name_of)
def test_no_module_outside_sources_spells_a_vendors_name(module: Path) -> None:
    spelled = re.compile("|".join(sources.names()), re.IGNORECASE)
    tree = ast.parse(module.read_text())
    strings = [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    assert not [word for word in (*strings, *names) if spelled.search(word)]


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_every_module_opens_with_a_sentence(module: Path) -> None:
    docstring = ast.get_docstring(ast.parse(module.read_text())) or ""
    assert docstring.split("\n\n")[0].rstrip().endswith((".", "?", ":", "``"))


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_no_module_is_longer_than_about_300_lines(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("module", [m for m in MODULES if m.name not in ("config.py",)], ids=name_of)
def test_only_config_reads_the_environment(module: Path) -> None:
    code = module.read_text()
    reads = re.findall(r"os\.getenv|os\.environ\[|os\.environ\.get|from os import (?:environ|getenv)", code)
    assert not reads


@pytest.mark.parametrize("module", sorted(ROOT.glob("tests/**/*.py")), ids=lambda module: module.stem)
def test_a_test_that_asks_over_http_says_how_long_it_waits(module: Path) -> None:
    """httpx gives up after 5 s by itself, which a busy machine takes now and then."""
    calls = (node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call))
    over_http = (call for call in calls if ast.unparse(call.func) in HTTPX_CALLS)
    silent = [
        call.lineno for call in over_http if not {"timeout", "transport"} & {word.arg for word in call.keywords}
    ]
    assert not silent, silent


def test_importing_a_module_connects_to_nothing() -> None:
    """A process whose every socket call fails can still import all of Tallyhook."""
    guard = "import socket; socket.socket.connect = None; socket.socket.bind = None\n"
    scripts = ("__main__.py", "env.py")  # made to be run, by Python and by Alembic
    names = [name_of(module) for module in MODULES if module.name not in scripts]
    code = guard + "\n".join(f"import {name}" for name in names)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_test_that_the_security_policy_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "SECURITY.md").read_text())
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("layer", ["flows", "stores", "rules"])
def test_the_rooms_of_a_layer_form_no_circle(layer: str) -> None:
    """Whoever reads one room needs the rooms below it, and never the same room again."""
    arrows: dict[str, set[str]] = {}
    for module in MODULES:
        parts = name_of(module).split(".")
        if parts[:2] == ["app", layer] and len(parts) > 2:
            targets = (target.split(".") for target in ours(module))
            rooms = {target[2] for target in targets if target[:2] == ["app", layer] and len(target) > 2}
            arrows.setdefault(parts[2], set()).update(rooms - {parts[2]})
    tuple(TopologicalSorter(arrows).static_order())  # raises CycleError, which names the circle


NUMBERS = (ast.Constant, ast.Name, ast.BinOp)
"""What a test may make smaller, so that it takes less time."""


@pytest.mark.parametrize(
    "module",
    [test for test in sorted(ROOT.glob("tests/**/*.py")) if "prove" not in test.parts],
    ids=lambda test: test.stem,
)
def test_a_test_replaces_no_function_or_class_of_ours(module: Path) -> None:
    """It hands another part in instead, as any caller could: at the latest to ``wiring``, which picks the parts.

    Only the proof of the proof takes guards away."""
    ours = {name.rsplit(".", 1)[-1] for name in imports_of(module) if name.startswith(("app.", "workers."))}
    calls = (node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call))
    replaced = [
        ast.unparse(call)
        for call in calls
        if ast.unparse(call.func) == "monkeypatch.setattr"
        if ast.unparse(call.args[0]).strip("'").split(".")[0] in {*ours, "app", "workers"} - {"wiring"}
        if not isinstance(call.args[-1], NUMBERS) and not ast.unparse(call.args[-1]).startswith("timedelta(")
    ]
    assert replaced == []


UNTYPED = re.compile(r"\b(?:dict|Mapping|MutableMapping)\[str, (?:Any|object)\]")

WRITE_JSON = {
    "app.cli.console",  # rows and pages for programs
    "app.flows.reports.status",  # the last run, as the database has it
    "app.web.api.document",  # OpenAPI
}
"""Modules whose functions make or take JSON objects."""

TYPED = [module for module in MODULES if name_of(module).startswith(("app.flows", "app.web", "app.cli"))]


def annotations_of(module: Path) -> Iterator[str]:
    """The types of the arguments and results of all functions, each with the name of its function."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            types = (*(one.annotation for one in arguments), node.returns)
            yield from (f"{node.name}: {ast.unparse(type_)}" for type_ in types if type_ is not None)


@pytest.mark.parametrize("module", TYPED, ids=name_of)
def test_no_row_without_a_type_crosses_a_function(module: Path) -> None:
    """A field of such a row could be misspelled without mypy noticing."""
    assert [one for one in annotations_of(module) if UNTYPED.search(one)] == []


@pytest.mark.parametrize("module", TYPED, ids=name_of)
def test_few_modules_make_or_take_json_objects(module: Path) -> None:
    """What is JSON for a good reason is called a ``JsonObject``; elsewhere it is at most a field of a row."""
    assert [one for one in annotations_of(module) if "JsonObject" in one] == [] or name_of(module) in WRITE_JSON
