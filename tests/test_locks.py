"""The two lock files: what runs Tallyhook, and that with the tools to develop it."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(.+?)(?: \\)?$", re.MULTILINE)
NAMED = re.compile(r"[A-Za-z0-9._-]+")


def pinned(name: str) -> set[tuple[str, str]]:
    """Packages with their versions, and where each is meant."""
    return {(package.lower(), version) for package, version in PINNED.findall((ROOT / name).read_text())}


def packages(name: str) -> set[str]:
    """Those that a file pins."""
    return {package for package, _ in pinned(name)}


def wanted(names: list[str]) -> set[str]:
    """The packages that requirements name."""
    result = (NAMED.match(name) for name in names)
    return {match[0].lower() for match in result if match} - {"tallyhook"}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEV = wanted(PROJECT["optional-dependencies"]["dev"])


def test_what_runs_is_locked_at_the_versions_it_is_developed_with() -> None:
    run = packages("requirements.lock")
    assert pinned("requirements.lock") == {one for one in pinned("requirements-dev.lock") if one[0] in run}


def test_every_package_that_runs_is_locked() -> None:
    assert wanted(PROJECT["dependencies"]) <= packages("requirements.lock")


def test_no_tool_of_development_is_installed_to_run() -> None:
    assert not DEV & packages("requirements.lock")


def test_every_tool_of_development_is_locked() -> None:
    assert packages("requirements-dev.lock") >= DEV
