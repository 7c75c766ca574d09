"""Every public function says something that its name does not."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_architecture import MODULES, name_of

LITTLE_WORDS = frozenset("a an the of to for in on and or is are its it this that with by from as at be".split())  # noqa: SIM905
READABLE = [module for module in MODULES if "versions" not in module.parts]
"""All but the migrations, whose functions Alembic names."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions(body: ast.Module | ast.ClassDef, owner: str = "") -> Iterator[tuple[str, Function]]:
    """The public functions and methods of a module, each with the name of its class."""
    for node in body.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node, node.name)
        elif isinstance(node, Function) and not node.name.startswith("_") and not is_setter(node):
            yield owner, node


def is_setter(function: Function) -> bool:
    """Whether it sets a property, which says at its getter what it is."""
    return any(ast.unparse(decorator).endswith(".setter") for decorator in function.decorator_list)


def stems(text: str) -> set[str]:
    """The words of a text or of a name without their endings, but for the little ones."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"([A-Z])", r" \1", text).lower().replace("_", " "))
    return {re.sub(r"(ing|ed|es|s)$", "", word) for word in words if word not in LITTLE_WORDS}


@pytest.mark.parametrize("module", READABLE, ids=name_of)
def test_a_public_function_says_something_its_name_does_not(module: Path) -> None:
    silent = [
        f"{owner}.{function.name}".lstrip(".")
        for owner, function in public_functions(ast.parse(module.read_text()))
        if not stems(ast.get_docstring(function) or "") - stems(f"{owner} {function.name}")
    ]
    assert silent == []


def test_a_docstring_that_repeats_the_name_is_found() -> None:
    module = ast.parse('class Shop:\n  def open_door(self):\n    """Opens the doors of the shop."""\n')
    ((owner, function),) = public_functions(module)
    assert not stems(ast.get_docstring(function) or "") - stems(f"{owner} {function.name}")
