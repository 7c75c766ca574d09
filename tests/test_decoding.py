"""Types are worked out by one thread at a time."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_architecture import MODULES, name_of

CROWD = """
import sys, threading
from dataclasses import make_dataclass
from datetime import datetime
from enum import StrEnum
from app.domain.decoding import convert, decode

sys.setswitchinterval(1e-6)
for _ in range(150):
    Word = StrEnum("Word", {f"W{n}": f"w{n}" for n in range(6)})
    Shape = make_dataclass("Shape", [("id", int), ("word", Word), ("names", frozenset[str] | None), ("at", datetime)])
    start = threading.Barrier(8)

    def read():
        start.wait()
        convert({"id": 1, "word": "w1", "names": ["a"], "at": datetime.now()}, Shape)
        decode('{"id": 1, "word": "w1", "names": ["a"], "at": "2026-01-01T00:00:00Z"}', Shape)

    crowd = [threading.Thread(target=read) for _ in range(8)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
"""


def test_threads_that_meet_a_new_type_at_once_crash_nothing() -> None:
    """Without the lock this ends by a segmentation fault, nearly always."""
    subprocess.run([sys.executable, "-c", CROWD], check=True, timeout=300, cwd=Path(__file__).parent.parent)


def unguarded(module: Path) -> Iterator[str]:
    """The calls in functions by which msgspec may meet a type for the first time."""
    for function in ast.walk(ast.parse(module.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for call in ast.walk(function):
                if isinstance(call, ast.Call):
                    called = ast.unparse(call.func)
                    typed = any(word.arg == "type" for word in call.keywords)
                    if called == "msgspec.convert" or (called.endswith(".decode") and typed):
                        yield f"line {call.lineno}: {ast.unparse(call)}"


@pytest.mark.parametrize("module", [one for one in MODULES if one.name != "decoding.py"], ids=name_of)
def test_a_function_reads_typed_values_by_the_module_that_guards_it(module: Path) -> None:
    assert list(unguarded(module)) == []
