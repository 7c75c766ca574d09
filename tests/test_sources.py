"""The conformance suite: every folder in app/sources must pass it, and a new one joins by being there."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
import uvicorn

from app import sources
from app.domain import KINDS, Delivery, Kind, Record, key_of, row_hash
from app.errors import BadConfiguration, TallyhookError
from app.sources.base import Context, Source, Unlimited
from app.stores import catalog, inbox, owed
from app.stores.engine import Database
from app.stores.inbox import Arrival

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FOLDERS = {name: Path(sources.__file__).parent / name for name in sources.names()}


class Sample(NamedTuple):
    """One line of a vendor's manifest."""

    source: str
    file: str
    reads_as: str
    expect: dict[str, Any]

    def read(self) -> Any:
        raw = (FOLDERS[self.source] / "samples" / self.file).read_bytes()
        return importlib.import_module(f"app.sources.{self.source}.samples").read(self.reads_as, raw)


def _samples(*reads_as: str) -> list[Sample]:
    return [sample for sample in _manifests() if sample.reads_as in reads_as]


def _manifests() -> Iterator[Sample]:
    for source, folder in FOLDERS.items():
        for line in json.loads((folder / "samples" / "manifest.json").read_text()):
            yield Sample(source, line["file"], line["as"], line.get("expect", {}))


RECORDS = [sample for sample in _manifests() if sample.reads_as not in ("reference", "error", "webhook")]


def _name(sample: Sample) -> str:
    return f"{sample.source}/{sample.file}"


@pytest.mark.parametrize("source", sources.names())
def test_every_sample_file_is_in_the_manifest_with_its_provenance(source: str) -> None:
    folder = FOLDERS[source] / "samples"
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    listed = {sample.file for sample in _manifests() if sample.source == source}
    assert files - {"manifest.json", "README.md"} == listed
    assert (folder / "README.md").exists()


@pytest.mark.parametrize("sample", RECORDS, ids=_name)
def test_a_sample_becomes_the_records_its_manifest_tells(sample: Sample) -> None:
    records = list(sample.read().records)
    assert len(records) == sample.expect["records"]
    if records:
        first = {name: _plain(getattr(records[0], name)) for name in sample.expect["first"]}
        assert first == {name: _plain(value) for name, value in sample.expect["first"].items()}


@pytest.mark.parametrize("sample", RECORDS, ids=_name)
def test_a_sample_is_stored_without_loss(sample: Sample, database: Database) -> None:
    records = list(sample.read().records)
    with database.begin() as conn:
        catalog.apply(conn, "here", records, read_at=NOW, now=NOW)
    with database.read() as conn:
        for record in records:
            assert _read_back(conn, record) == record


def _read_back(conn: Any, record: Record) -> Record:
    kind = KINDS[type(record)]
    row = catalog.get(conn, "here", kind, key_of(record))
    assert row is not None
    assert row["row_hash"] == row_hash(record)
    fields = {name: row[name] for name in record.__struct_fields__}
    for name, value in fields.items():
        if isinstance(getattr(record, name), bool):
            fields[name] = bool(value)
    return type(record)(**fields)


@pytest.mark.parametrize("sample", _samples("webhook"), ids=_name)
def test_a_webhook_sample_is_remembered_and_owes_its_items(sample: Sample, database: Database) -> None:
    delivery: Delivery = sample.read()
    with database.begin() as conn:
        accepted = inbox.accept(conn, [Arrival("here", delivery, {}, b"{}", NOW)])
        assert accepted.new == 1
        assert owed.count(conn) == len({(change.kind, change.external_id) for change in delivery.changes})
    assert delivery.ignored == (not delivery.changes)


@pytest.mark.parametrize("sample", _samples("error"), ids=_name)
def test_an_error_sample_is_an_error_of_ours(sample: Sample) -> None:
    with pytest.raises(TallyhookError):
        sample.read()


@pytest.mark.parametrize("source", sources.names())
def test_an_unknown_option_is_refused_by_name(source: str) -> None:
    with pytest.raises(BadConfiguration, match="no_such_option"):
        sources.connect(source, Context("here", Unlimited()), {"no_such_option": "1"})


def test_an_unknown_source_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadConfiguration, match=", ".join(sources.names())):
        sources.connect("nobody", Context("here", Unlimited()), {})


@pytest.fixture(params=sources.names())
def connected(request: pytest.FixtureRequest) -> Iterator[tuple[Source, httpx.Client]]:
    """A source connected to its own simulator over real HTTP, and the simulator's control."""
    given, credentials = sources.demo(request.param, "http://127.0.0.1:1", "http://127.0.0.1:1/webhooks/here")
    given = {name: value for name, value in given.items() if "url" not in name} | {"products": "60", "seed": "3"}
    server = uvicorn.Server(
        uvicorn.Config(sources.simulator(request.param, given), host="127.0.0.1", port=0, log_level="warning")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    waiting = threading.Event()
    while not server.started:
        waiting.wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    options = {**credentials, "base_url": f"http://127.0.0.1:{port}"}
    source = sources.connect(request.param, Context("here", Unlimited()), options)
    with closing(source), httpx.Client(base_url=options["base_url"], timeout=30) as control:
        yield source, control
    server.should_exit = True
    thread.join(10)


def test_a_full_read_is_the_vendors_truth(connected: tuple[Source, httpx.Client]) -> None:
    source, control = connected
    for kind in source.kinds:
        if kind is Kind.ORDER:
            continue  # a full read of orders is only the latest days
        read = {key_of(record) for page in source.full(kind) for record in page.records if _counts(record)}
        truth = control.get(f"/_sim/truth/{kind}").json()
        names = ("listing_id", "location_id", "state") if kind is Kind.STOCK else ("external_id",)
        told = {tuple(row[name] for name in names) for row in truth if _counts_row(row)}
        assert read == told, kind


def test_a_second_full_read_of_an_unchanged_shop_is_the_same_rows(connected: tuple[Source, httpx.Client]) -> None:
    source, _ = connected
    for kind in source.kinds:
        first, second = (
            {key_of(record): row_hash(record) for page in source.full(kind) for record in page.records} for _ in "12"
        )
        assert first == second, kind


def test_the_last_page_alone_carries_the_watermark(connected: tuple[Source, httpx.Client]) -> None:
    source, _ = connected
    for kind in source.kinds:
        pages = list(source.full(kind))
        assert all(page.watermark is None and page.complete is None for page in pages[:-1]), kind


def test_calls_are_counted(connected: tuple[Source, httpx.Client]) -> None:
    source, _ = connected
    before = source.calls()
    list(source.full(source.kinds[0]))
    assert source.calls() > before


def _counts(record: Record) -> bool:
    return bool(getattr(record, "quantity", 1) != 0)


def _counts_row(row: dict[str, Any]) -> bool:
    return Decimal(row.get("quantity", "1")) != 0


def _plain(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))
