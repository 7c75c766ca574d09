"""The documents are in order: links lead somewhere, the README is short, each decision says its price."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.documents import DOCUMENTS, ROOT, anchors, prose, read, spans

CHANGELOG = ROOT / "CHANGELOG.md"
LINKING = (*DOCUMENTS, CHANGELOG, ROOT / "tests" / "bench" / "README.md")
DECISIONS = re.split(r"^## ", read("docs/decisions.md"), flags=re.MULTILINE)[1:]
TOP_LEVEL = {
    *("app", "workers", "tests", "docs", "pyproject.toml", "Procfile", "docker-compose.yml", "Makefile"),
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"),
    *("requirements.lock", "requirements-dev.lock"),
}
MADE_HERE = {"data", "dist"}
"""What runs and releases leave behind; git ignores both."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", LINKING, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document.read_text())):
        path, _, anchor = target.partition("#")
        if re.match(r"\w+:", target):
            continue
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_file_of_ours_that_a_document_names_exists(document: Path) -> None:
    paths = [span for span in spans(document.read_text()) if re.fullmatch(r"(app|workers|tests|docs)/[\w/.-]+", span)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_a_page_of_docs_is_reached_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", read("README.md")))
    assert linked == {name_of(path) for path in DOCUMENTS if path.parent.name == "docs"}


def test_the_readme_has_fewer_than_200_lines() -> None:
    assert len(read("README.md").splitlines()) < 200


def test_decisions_are_numbered_without_a_hole() -> None:
    numbers = [int(decision.partition(".")[0]) for decision in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda text: text.partition(".")[0])
def test_a_decision_says_its_context_and_its_price(decision: str) -> None:
    assert re.findall(r"\*\*(\w+)\.\*\*", decision) == ["Context", "Decision", "Price"]


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda text: text.partition(".")[0])
def test_a_decision_has_at_most_ten_lines(decision: str) -> None:
    assert len(decision.strip().splitlines()) <= 10


def test_the_changelog_dates_the_version_of_the_project() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    released = dict(re.findall(r"^## \[([\d.]+)\] - (\d{4}-\d\d-\d\d)$", CHANGELOG.read_text(), re.MULTILINE))
    assert version in released


def test_the_changelog_sorts_changes_as_keep_a_changelog_does() -> None:
    kinds = set(re.findall(r"^### (.+)$", CHANGELOG.read_text(), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_top_level_holds_nothing_else() -> None:
    names = {path.name for path in ROOT.iterdir() if not path.name.startswith((".", "__"))}
    assert names - TOP_LEVEL - MADE_HERE == set()


def test_hooks_before_a_commit_come_from_this_repository_only() -> None:
    hooks = yaml.safe_load(read(".pre-commit-config.yaml"))
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}


def test_the_workflow_does_what_ci_does_elsewhere() -> None:
    jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
    steps = [step.get("run") for job in jobs.values() for step in job["steps"]]
    assert ".ci/run" in steps
