"""Every sample file reads as the manifest says, and the manifest forgets none."""

import json
from pathlib import Path
from typing import Any

import pytest

from app import errors
from app.domain import Delivery
from app.sources import square
from tests.sources.square import square_samples as samples

FOLDER = Path(square.__file__).parent / "samples"
MANIFEST: list[dict[str, Any]] = json.loads((FOLDER / "manifest.json").read_text())


def entries(*kinds: str, but: bool = False) -> list[Any]:
    return [pytest.param(one, id=one["file"]) for one in MANIFEST if (one["as"] in kinds) is not but]


def raw(entry: dict[str, Any]) -> bytes:
    return FOLDER.joinpath(entry["file"]).read_bytes()


def test_the_manifest_names_every_file() -> None:
    files = {str(file.relative_to(FOLDER)) for file in FOLDER.rglob("*.json")}
    assert files - {"manifest.json"} == {one["file"] for one in MANIFEST}


@pytest.mark.parametrize("entry", entries("webhook"))
def test_a_webhook_leads_to_its_changes(entry: dict[str, Any]) -> None:
    delivery = samples.read("webhook", raw(entry))
    assert isinstance(delivery, Delivery)
    assert [[change.kind, change.external_id] for change in delivery.changes] == entry["expect"]["changes"]


@pytest.mark.parametrize("entry", entries("webhook", "error", "reference", but=True))
def test_an_answer_is_mapped_as_expected(entry: dict[str, Any]) -> None:
    page = samples.read(entry["as"], raw(entry))
    assert not isinstance(page, Delivery)
    first = {name: getattr(page.records[0], name) for name in entry["expect"]["first"]}
    shown = {name: str(value) if name == "quantity" else value for name, value in first.items()}
    assert (len(page.records), shown) == (entry["expect"]["records"], entry["expect"]["first"])


@pytest.mark.parametrize("entry", entries("error"))
def test_an_error_body_raises_its_error(entry: dict[str, Any]) -> None:
    with pytest.raises(getattr(errors, entry["expect"]["error"])):
        samples.read("error", raw(entry))
