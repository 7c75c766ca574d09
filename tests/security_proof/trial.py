"""Takes a guard away in a copy of the source, and sees whether the tests notice."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.security_proof.mutation import Mutation
from tests.security_proof.policy import ROOT

LONGEST = 600.0
"""Seconds that the tests of a mutation may take: without its guard something may never end."""

LONGEST_TEST = 120
PASSED, FAILED = 0, 1  # what pytest ends with; anything else says that it could not run them

_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "data", "*.egg-info", "build", "dist")


class Verdict(NamedTuple):
    """What became of a mutation: whether the tests noticed, in words otherwise, and after how many seconds."""

    mutation: Mutation
    noticed: bool
    said: str
    seconds: float


class Misplaced(Exception):
    """The text of a mutation does not stand exactly once in its file."""


def mutated(source: str, mutation: Mutation) -> str:
    """The source without the guard. Raises ``Misplaced``."""
    times = source.count(mutation.text)
    if times != 1:
        raise Misplaced(f"{mutation.file} has {times} times {mutation.text!r}, and not once")
    return source.replace(mutation.text, mutation.instead)


class Tree:
    """A copy of the source for one mutation at a time."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "tree"
        shutil.copytree(ROOT, self._root, ignore=_LEFT_OUT)

    def trouble_with(self, tests: Sequence[str]) -> str | None:
        """What pytest says of these tests with every guard in place; ``None`` when they pass."""
        code, output = self._run(tests)
        return None if code == PASSED else output or "they did not end"

    def try_(self, mutation: Mutation) -> Verdict:
        """Run a mutation's tests without the guard."""
        began = time.monotonic()
        try:
            with self._without(mutation):
                code, output = self._run(mutation.tests)
        except Misplaced as error:
            return Verdict(mutation, False, str(error), 0.0)
        said = {PASSED: "SURVIVED: its tests stay green", FAILED: "noticed", None: "noticed (never ended)"}
        return Verdict(
            mutation,
            code in (FAILED, None),
            said.get(code, f"BROKEN: the tests could not be run: {output[-500:]}"),
            time.monotonic() - began,
        )

    @contextmanager
    def _without(self, mutation: Mutation) -> Iterator[None]:
        file = self._root / mutation.file
        source = file.read_text()
        file.write_text(mutated(source, mutation))
        try:
            yield
        finally:
            file.write_text(source)

    def _run(self, tests: Sequence[str]) -> tuple[int | None, str]:
        """The exit code of pytest, ``None`` if it did not end in time, and what it said."""
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "--timeout",
            str(LONGEST_TEST),
        ]
        process = subprocess.Popen(
            [*command, *dict.fromkeys(tests)],
            cwd=self._root,
            env={**os.environ, "PYTHONPATH": str(self._root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            return _ended(process)
        finally:
            _end(process)


def _ended(process: subprocess.Popen[str]) -> tuple[int | None, str]:
    try:
        output, _ = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return None, ""
    return process.returncode, output


def _end(process: subprocess.Popen[str]) -> None:
    """End it and whatever it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
