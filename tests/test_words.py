"""One word for one thing: words that say nothing, or something else elsewhere, name nothing in the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_architecture import MODULES, name_of

SAY = {
    "absorb": "reconcile",
    "apart": "isolated",
    "aside": "stderr, or set_aside as a whole word",
    "beat": "heartbeat",
    "bury": "record a dead letter",
    "course": "ActiveRun",
    "deeds": "checks",
    "door": "middleware, or what it limits",
    "doors": "settings, or paths",
    "gap": "outage, or missing order",
    "leg": "stage",
    "mend": "restart, resolve",
    "narrator": "activity_log",
    "pulse": "heartbeat",
    "recall": "cache",
    "rehearse": "dry run",
    "remember": "cache, owe, insert",
    "sealed": "what is added to the response",
    "see": "follow",
    "sees": "can_see",
    "steady": "with_retries",
    "stuff": "what it is",
    "suspect": "poison candidate",
    "told": "values, payload, context, notified",
    "unheard": "outages",
    "wake": "enqueue",
}
"""Words that may name nothing, and what to say instead."""


def names_given(module: Path) -> Iterator[tuple[int, str]]:
    """Every name that a module gives: to a class, a function, a parameter, a variable or an attribute."""
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def bare(name: str) -> str:
    """A name without its case and its outer underscores."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower().strip("_")


@pytest.mark.parametrize("module", [module for module in MODULES if "versions" not in module.parts], ids=name_of)
def test_no_name_is_a_word_that_says_nothing(module: Path) -> None:
    names = [*names_given(module), (1, module.stem)]
    assert [f"line {line}: {name}; say {SAY[bare(name)]}" for line, name in names if bare(name) in SAY] == []


def test_a_name_in_capitals_of_two_words_is_no_word_of_the_list() -> None:
    assert bare("LegState") == "leg_state"
    assert bare("_Told") == "told"
