"""The proof of SECURITY.md covers its whole table, and fits the source as it is; ``make security-proof`` runs it."""

import re

import pytest

from tests.security_proof import mutations, policy
from tests.security_proof.mutation import Mutation
from tests.security_proof.mutations import MUTATIONS
from tests.security_proof.policy import ROOT, Row
from tests.security_proof.trial import Misplaced, mutated

ROWS = policy.rows()


def test_every_row_of_the_table_is_read() -> None:
    table = re.findall(r"^\| (?!threat |---)", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    assert len(ROWS) == len(table)


@pytest.mark.parametrize("row", ROWS, ids=[row.threat for row in ROWS])
def test_every_row_has_a_guard_that_is_taken_away(row: Row) -> None:
    assert mutations.of(row)


def test_every_mutation_is_of_a_row() -> None:
    threats = {row.threat for row in ROWS}
    assert [one.guard for one in MUTATIONS if one.threat not in threats] == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[f"{one.threat}: {one.guard}" for one in MUTATIONS])
def test_what_a_mutation_replaces_stands_once_in_the_source(mutation: Mutation) -> None:
    source = (ROOT / mutation.file).read_text()
    assert mutated(source, mutation) != source


def test_every_test_of_a_mutation_is_there_and_in_a_file_that_its_row_names() -> None:
    named = {row.threat: row.tests for row in ROWS}
    wrong = []
    for one in MUTATIONS:
        for test in one.tests:
            file, _, name = test.partition("::")
            if file not in named[one.threat] or f"def {name}(" not in (ROOT / file).read_text():
                wrong.append(test)
    assert wrong == []


def test_a_text_that_stands_twice_is_no_mutation() -> None:
    with pytest.raises(Misplaced):
        mutated("if a: if a:", MUTATIONS[0]._replace(text="if a:"))
