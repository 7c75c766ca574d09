"""The sample payloads become what their manifest says."""

import json
from decimal import Decimal
from typing import Any

import pytest

from app.errors import TallyhookError
from tests.sources.finale import finale_samples as samples
from tests.sources.finale.finale_samples import FOLDER

MANIFEST = json.loads((FOLDER / "manifest.json").read_text())
RECORDS = [entry for entry in MANIFEST if entry["as"] not in ("reference", "error")]
ERRORS = [entry for entry in MANIFEST if entry["as"] == "error"]


def test_the_manifest_names_every_sample() -> None:
    files = {path.name for path in FOLDER.iterdir()} - {"README.md", "manifest.json"}
    assert {entry["file"] for entry in MANIFEST} == files


@pytest.mark.parametrize("entry", RECORDS, ids=lambda entry: entry["file"])
def test_a_sample_becomes_the_records_of_its_manifest(entry: dict[str, Any]) -> None:
    records = samples.read(entry["as"], (FOLDER / entry["file"]).read_bytes()).records
    first = {name: getattr(records[0], name) for name in entry["expect"]["first"]}
    plain = {name: str(value) if isinstance(value, Decimal) else value for name, value in first.items()}
    assert (len(records), plain) == (entry["expect"]["records"], entry["expect"]["first"])


@pytest.mark.parametrize("entry", ERRORS, ids=lambda entry: entry["file"])
def test_an_error_sample_is_raised(entry: dict[str, Any]) -> None:
    with pytest.raises(TallyhookError) as raised:
        samples.read("error", (FOLDER / entry["file"]).read_bytes())
    assert type(raised.value).__name__ == entry["expect"]["error"]
